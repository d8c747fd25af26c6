/* How long people look at a pair, and how long they wait for one. */

/* Seconds since the pair was on the screen: with the page in view, and with it hidden behind another tab. */
export function viewingClock() {
  let on = false;
  let banked = { seen: 0, hidden: 0 };
  let since = null;
  let state = "seen";

  function turn() {
    if (since !== null) banked[state] += performance.now() - since;
    state = document.hidden ? "hidden" : "seen";
    since = on ? performance.now() : null;
  }

  document.addEventListener("visibilitychange", turn);
  return {
    start() {
      on = true;
      banked = { seen: 0, hidden: 0 };
      since = null;
      turn();
    },
    stop() {
      turn();
      on = false;
      since = null;
      return { seconds: Math.round(banked.seen) / 1000, hidden_seconds: Math.round(banked.hidden) / 1000 };
    },
  };
}

/* From the key that answered one pair to the next on the screen, for whoever observes the page; nothing of it stays. */
export function beginWait(pressedAt) {
  performance.mark("answered", { startTime: pressedAt ?? performance.now() });
}

export function endWait() {
  performance.mark("painted");
  if (performance.getEntriesByName("answered").length) performance.measure("wait", "answered", "painted");
  performance.clearMarks();
  performance.clearMeasures();
}
