/* The keys that choose, confirm and take back, and whether keys are commands at this moment. */

const DIGITS = "٠١٢٣٤٥٦٧٨٩"; // as Arabic keyboards may give them
const LAST_OF_ASCII = "~";
const CHOICE = "perceptanon.keys"; // the browser's, not the study's

/*
 * What a key is called on a keyboard with Latin letters: on others the same key gives another letter or digit, and the
 * page's table of keys must hold for it too.
 */
export function latinKey({ key, code }) {
  if (key.length !== 1 || key <= LAST_OF_ASCII) return key;
  if (key === "؟") return "?";
  if (DIGITS.includes(key)) return String(DIGITS.indexOf(key));
  return /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() ?? key;
}

/* Letters choose in a list, and are words in a note; digits are no words in a list. */
const isTyping = (element) => element?.matches("textarea, select");
const isDigit = (key) => /^[0-9]$/.test(key);

/* `choose` hears of digits, `undo` of its key; `confirm` presses the button, from anywhere but a link or another button. */
export function keysOn({ offer, table, confirmButton, choose, confirm, undo }) {
  const areWanted = offer.querySelector("[data-use-keys]");
  let pressedAt = null; // when the key that confirms went down, by its event, while it does

  function press(event) {
    const { target } = event;
    const key = latinKey(event);
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || table.open) return;
    if (isTyping(target) && !(isDigit(key) && target.matches("select"))) return;
    if (key === "Enter") pressEnter(event);
    else if (isDigit(key) && areWanted.checked && !event.repeat) choose(key);
    else if (key === "?" && areWanted.checked) table.showModal();
    else if (key.toLowerCase() === "u" && areWanted.checked && !event.repeat) undo();
  }

  /* A key held down confirms only once. */
  function pressEnter(event) {
    const { target, repeat, timeStamp } = event;
    if (repeat) event.preventDefault();
    else if (target === confirmButton || !target.closest("a, button, summary")) {
      event.preventDefault();
      pressedAt = timeStamp;
      confirm();
      pressedAt = null;
    }
  }

  function rememberChoice() {
    try {
      areWanted.checked = localStorage.getItem(CHOICE) !== "off";
    } catch {
      // No storage: the keys are on at each visit.
    }
    areWanted.addEventListener("change", () => {
      try {
        localStorage.setItem(CHOICE, areWanted.checked ? "on" : "off");
      } catch {
        // as above
      }
    });
  }

  return {
    listen() {
      rememberChoice();
      document.addEventListener("keydown", press);
      offer.querySelector("[data-open-keys]").addEventListener("click", () => table.showModal());
      offer.hidden = false;
    },
    areOn: () => areWanted.checked && !table.open && !isTyping(document.activeElement),
    pressedAt: () => pressedAt,
  };
}
