/*
 * What the scripts say, in the language of the page. Its words come in a script of their own, which Django makes from
 * the catalogs and the page loads first; where it did not come, the words are English.
 */

const catalog = globalThis.django;

export const gettext = catalog?.gettext ?? ((words) => words);
export const ngettext = catalog?.ngettext ?? ((one, many, n) => (n === 1 ? one : many));

/* Put values in the places of their names: `%(n)s` becomes the value of n. */
export function interpolate(words, values) {
  return words.replace(/%\((\w+)\)s/g, (place, name) => (name in values ? String(values[name]) : place));
}
