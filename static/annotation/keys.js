/*
 * What a key is called on a keyboard with Latin letters: on others the same key gives another letter or digit, and the
 * page's table of keys must hold for it too.
 */

const DIGITS = "٠١٢٣٤٥٦٧٨٩"; // as Arabic keyboards may give them
const LAST_OF_ASCII = "~";

export function latinKey({ key, code }) {
  if (key.length !== 1 || key <= LAST_OF_ASCII) return key;
  if (key === "؟") return "?";
  if (DIGITS.includes(key)) return String(DIGITS.indexOf(key));
  return /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() ?? key;
}
