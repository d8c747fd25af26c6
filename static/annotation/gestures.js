/*
 * Which input counts for the pair in front. Nothing that began on one pair may answer another: a pair takes input once it
 * has been in view for a moment, and then only by a press that began after it. What comes earlier is not kept.
 */

const IN_VIEW_MS = 400; // longer than a key bounces, and than most people take for a double click
const CLICK_FOLLOWS_MS = 500; // by which a click may come after its finger has left
const DOUBLE_CLICK_MS = 600; // in which the second press of a double click comes, and a little more
const MODIFIERS = ["Alt", "AltGraph", "CapsLock", "Control", "Meta", "Shift"];

/* `opened` is told when the pair in view begins to take input, `closed` when it no longer does. */
export function gesturesOn(root, { opened, closed }) {
  let timer = 0;
  let isAwaited = false; // a pair is in view, but not for long enough
  let isOpen = false;
  let openedAt = -Infinity; // when a pair did so last
  let waiting = []; // for it to open
  let last = { isEarly: false, endedAt: Infinity }; // the gesture that began last; Infinity while it goes on
  let seriesBeganAt = -Infinity; // of presses on one spot
  let pressedAt = { before: -Infinity, last: -Infinity }; // the last two presses of all

  function begin({ key, repeat }) {
    if (!repeat && !MODIFIERS.includes(key)) last = { isEarly: !isOpen, endedAt: Infinity };
  }

  /* Of a scale that is disabled "mousedown" tells nothing. */
  function press({ timeStamp }) {
    pressedAt = { before: pressedAt.last, last: timeStamp };
  }

  /*
   * The second press of a double click belongs to the pair of the first, though the next one may be open by then. That
   * the system counts on (`detail`) is not enough to tell: it may be set to wait for a second, and who rates steadily
   * with the mouse on one score makes one long series.
   */
  function follow({ detail, timeStamp }) {
    if (detail < 2) seriesBeganAt = timeStamp;
    else if (seriesBeganAt < openedAt && isDouble(timeStamp)) last.isEarly = true;
  }

  const isDouble = (now) => now - pressedAt.before < DOUBLE_CLICK_MS && now - openedAt < DOUBLE_CLICK_MS;

  /* Also when the page loses the focus or the view: then a key or a finger leaves unseen. */
  function end() {
    last.endedAt = performance.now();
  }

  /* A click without a press of its own, as assistive technology makes it, is one too. */
  const isEarly = () => last.isEarly && performance.now() - last.endedAt < CLICK_FOLLOWS_MS;

  function takesInput() {
    return isOpen && !isEarly();
  }

  function filter(event) {
    if (takesInput() || !event.target.closest("[data-scale], [type=submit]")) return;
    event.preventDefault();
    event.stopPropagation();
  }

  function open() {
    isAwaited = false;
    isOpen = true;
    openedAt = performance.now();
    opened();
    for (const resolve of waiting.splice(0)) resolve();
  }

  /* Behind another tab nobody sees the pair: the moment begins anew. */
  function wait() {
    clearTimeout(timer);
    if (isAwaited && !document.hidden) timer = setTimeout(open, IN_VIEW_MS);
  }

  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, begin, true);
  document.addEventListener("pointerdown", press, true);
  document.addEventListener("mousedown", follow, true); // it has the count, and comes after "pointerdown"
  for (const kind of ["pointerup", "pointercancel", "keyup"]) document.addEventListener(kind, end, true);
  window.addEventListener("blur", end);
  document.addEventListener("visibilitychange", end);
  document.addEventListener("visibilitychange", wait);
  root.addEventListener("click", filter, true);

  return {
    takesInput,
    isWaiting: () => isAwaited,
    comesIntoView() {
      isAwaited = true;
      wait();
    },
    /* It has gone, or takes no more. */
    close() {
      isOpen = isAwaited = false;
      clearTimeout(timer);
      closed();
    },
    /* Once a pair takes input, which may be at once. */
    ready: () => (isOpen ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
