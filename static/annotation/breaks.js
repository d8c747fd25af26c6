/*
 * Offers a break after ten minutes of rating, between two pairs. The offer stands beside the work and stops nothing:
 * neither the clock nor the keys. A score that is chosen but not confirmed is not lost: the break waits for it.
 */

import { gettext } from "./words.js";

const EVERY_MS = 10 * 60_000;
const OFFER = gettext("You have rated for ten minutes. A short break?");
const AFTER_THIS_ONE = gettext("Confirm the score you chose; then the break begins.");

export function offerBreaks({ form, notice, participation }) {
  const words = notice.querySelector("[data-break-words]");
  const link = notice.querySelector("a");
  const worked = workingTime(`perceptanon.rating.${participation}`);
  let isOffered = false;
  let isTaken = false;

  const isChosen = () => Boolean(new FormData(form).get("score"));

  function afterAnswer() {
    if (isChosen()) return;
    if (isTaken) link.click();
    else if (!isOffered && worked.milliseconds() >= EVERY_MS) offer();
  }

  function offer() {
    isOffered = true;
    notice.hidden = false;
    requestAnimationFrame(() => {
      words.textContent = OFFER; // in a region that is there already: one that appears with its words is not read out
    });
  }

  function take(event) {
    if (isChosen()) {
      event.preventDefault();
      event.stopImmediatePropagation();
      isTaken = true;
      words.textContent = AFTER_THIS_ONE;
    } else worked.begin();
  }

  function goOn() {
    isOffered = isTaken = false;
    notice.hidden = true;
    words.textContent = "";
    worked.begin();
    form.querySelector("[data-question]").focus({ preventScroll: true });
  }

  form.addEventListener("submit", afterAnswer); // after the page's own listener, which has emptied the scale by then
  link.addEventListener("click", take, { capture: true });
  notice.querySelector("[data-break-no]").addEventListener("click", goOn);
  for (const rest of document.querySelectorAll(`a[href="${link.getAttribute("href")}"]`)) {
    if (rest !== link) rest.addEventListener("click", worked.begin);
  }
}

/* How long the page was in view since the last break; a reload, or a look at the instructions, is none. */
function workingTime(storageKey) {
  let banked = stored();
  let since = null;

  function stored() {
    try {
      return Number(sessionStorage.getItem(storageKey)) || 0;
    } catch {
      return 0; // no storage: a reload begins anew
    }
  }

  function milliseconds() {
    return banked + (since === null ? 0 : performance.now() - since);
  }

  function bank() {
    banked = milliseconds();
    since = document.hidden ? null : performance.now();
    try {
      sessionStorage.setItem(storageKey, String(Math.round(banked)));
    } catch {
      // as above
    }
  }

  function begin() {
    banked = 0;
    since = null;
    bank();
  }

  bank();
  document.addEventListener("visibilitychange", bank);
  window.addEventListener("pagehide", bank);
  return { milliseconds, begin };
}
