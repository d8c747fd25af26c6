/* What the page says beside its pairs: a note at the form, news for screen readers, how far it is, and what is not sent. */

import { gettext, interpolate, ngettext } from "./words.js";

const PLACES = {
  pair: [gettext("Pair %(place)s"), gettext("Pair %(place)s of %(total)s")],
  picture: [gettext("Picture %(place)s"), gettext("Picture %(place)s of %(total)s")],
};

/* What to say when the server takes nothing more from this page, by its status. */
const ENDINGS = {
  403: gettext("You may have logged in or out in another tab, so this page must be loaded again before it can save answers."),
  404: gettext("Your participation cannot be reached from this browser. Open your invitation or your return address, or log in, and load this page again. If your participation was removed, nothing more is saved."),
  410: gettext("This participation was withdrawn, so nothing more is saved."),
};
const OTHER_ENDING = gettext("The server could not take answers from this page.");

const find = (selector) => document.querySelector(selector);

export function announce(text) {
  find("[data-announce]").textContent = text;
}

export function tell(text) {
  find("[data-note]").textContent = text;
}

/* A complaint that is answered goes; any other note stays. */
export function untell(text) {
  if (find("[data-note]").textContent === text) tell("");
}

/* `noun` is what the study shows: a pair or a picture. `place` counts from 1; `total` is null where there is no end. */
export function placeInWords(noun, { place, total }) {
  const [alone, ofAll] = PLACES[noun];
  if (total === null) return interpolate(alone, { place });
  return interpolate(ofAll, { place: Math.min(place, total), total });
}

export function showProgress(noun, progress) {
  const bar = find("[data-progress]");
  find("[data-progress-text]").textContent = placeInWords(noun, progress);
  bar.hidden = progress.total === null;
  if (progress.total === null) return;
  bar.max = progress.total;
  bar.value = progress.done;
}

/* --- What is not sent --- */

export function showStatus(unsent) {
  find("[data-status]").textContent = statusInWords(unsent);
}

/* `n` answers are unsent; where the browser keeps them, `isKept`; where nothing more is sent from this page, `isClosed`. */
function statusInWords({ n, isKept, isClosed, isFailing }) {
  if (!n) return gettext("All answers saved");
  if (!isClosed && !isFailing) return gettext("Saving…");
  return interpolate(unsentInWords({ n, isKept, isClosed }), { n });
}

function unsentInWords({ n, isKept, isClosed }) {
  if (!isKept) {
    return ngettext(
      "%(n)s answer not sent yet. This browser cannot keep it: leave this page open.",
      "%(n)s answers not sent yet. This browser cannot keep them: leave this page open.",
      n,
    );
  }
  if (isClosed) return ngettext("%(n)s answer kept in this browser", "%(n)s answers kept in this browser", n);
  return ngettext("%(n)s answer not sent yet, trying again", "%(n)s answers not sent yet, trying again", n);
}

export function announceGone({ isKept }) {
  const kept = gettext("The connection is gone. Your answers are kept and sent later.");
  const open = gettext("The connection is gone. Your answers are sent later if you leave this page open.");
  announce(isKept ? kept : open);
}

export function announceBack() {
  announce(gettext("The connection is back. All answers are saved."));
}

/* Why nothing more is sent, and what becomes of what is not. */
export function endingInWords(status, unsent) {
  return [ENDINGS[status] ?? OTHER_ENDING, fateOf(unsent)].filter(Boolean).join(" ");
}

function fateOf({ n, isKept }) {
  if (!n) return "";
  const kept = ngettext(
    "Not sent yet, but kept in this browser: %(n)s answer.",
    "Not sent yet, but kept in this browser: %(n)s answers.",
    n,
  );
  const lost = ngettext(
    "Not sent yet, and lost when this page is closed: %(n)s answer.",
    "Not sent yet, and lost when this page is closed: %(n)s answers.",
    n,
  );
  return interpolate(isKept ? kept : lost, { n });
}
