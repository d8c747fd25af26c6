/*
 * The rating page at speed. The pictures that come next are fetched and decoded while a person looks at the present
 * ones; an answer is put into an outbox that outlives the page and is sent behind the scenes until the server has it.
 * Without this script the page is a plain form that does the same, one request at a time.
 */

import { offerBreaks } from "./breaks.js";
import { latinKey } from "./keys.js";
import { viewerOf } from "./viewer.js";
import { gettext, interpolate, ngettext } from "./words.js";

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const REQUEST_LIMIT_MS = 20_000;
const MOST_OUTLIVES = 60_000; // bytes; browsers send no more than 64 KiB for pages that go away
const NOTHING_CHOSEN = gettext("Choose a score from 1 to 10.");
const NO_REASON = gettext("Say why you skip it: choose one of the reasons.");
const RATED_BEFORE = gettext("You have rated this one already; choose another score, or confirm the same.");
const ANSWERED_ALREADY = gettext("You have answered that one already; here is the next.");
const TRY_AGAIN = new Set([408, 429]); // refusals that pass by themselves
const LONGEST_LOOK_MS = 2 * 3600_000; // at one pair; after it nobody is taken to be there any more
const LONGEST_WAIT_FOR_CUES_MS = 5000;
const PAINT_GRACE_MS = 80; // lets the answer travel together with the news of the next pair on the screen

/* What to say when the server takes nothing more from this page, by its status. */
const ENDINGS = {
  403: gettext("You may have logged in or out in another tab, so this page must be loaded again before it can save answers."),
  404: gettext("Your participation cannot be reached from this browser. Open your invitation or your return address, or log in, and load this page again. If your participation was removed, nothing more is saved."),
  410: gettext("This participation was withdrawn, so nothing more is saved."),
};
const OTHER_ENDING = gettext("The server could not take answers from this page.");

/* What depends on whether the study shows pairs or single pictures. */
const NOUNS = {
  pair: {
    place: gettext("Pair %(place)s"),
    placeOfAll: gettext("Pair %(place)s of %(total)s"),
    loading: gettext("Loading the next pair…"),
    loadingAgain: gettext("Loading the pair again…"),
    trouble: gettext("The pictures did not load."),
  },
  picture: {
    place: gettext("Picture %(place)s"),
    placeOfAll: gettext("Picture %(place)s of %(total)s"),
    loading: gettext("Loading the next picture…"),
    loadingAgain: gettext("Loading the picture again…"),
    trouble: gettext("The picture did not load."),
  },
};

const find = (selector) => document.querySelector(selector);
const form = find("form[data-answer-url]");
const pairBox = find("[data-pair]");
const scale = find("[data-scale]");
const question = find("[data-question]");
const useKeys = find("[data-use-keys]");
const keyTable = find("[data-key-table]");
const confirmButton = form.querySelector("button[type=submit]");
const undoButton = find("[data-undo]");
const { answerUrl, participation } = form.dataset;
const nounWords = NOUNS[form.dataset.noun];
const renewEvery = Number(form.dataset.renewSeconds) * 1000;
const confirmsOnPress = "confirmsOnPress" in form.dataset;

const outbox = outboxAt(`perceptanon.outbox.${participation}.`);
const clock = viewingClock();
const viewer = viewerOf(pairBox, {
  tools: find("[data-view-tools]"),
  divider: find("[data-divider]"),
  keysAreOn,
  announce,
});
const cuePanel = find("[data-cues]"); // where the study asks for boxes on what gives something away
const cues = cuePanel && (await offerCues());
const answered = new Set(outbox.all().map((answer) => answer.assignment));

let current = null; // the pair on the screen, or on its way there
let previous = null; // the pair before it and the score it got, which can be changed
let queue = []; // the pairs after it, loading or loaded
let progress = { done: Number(form.dataset.done), total: form.dataset.total ? Number(form.dataset.total) : null };
let ended = false; // the server takes no more answers from this page
let shownAt = 0; // when the pair came on the screen
let pressedAt = null; // when the key that confirms went down, by its event
let missing = null; // what a box lacks, in words, for its answer to be sent
let leavingTo = null; // where the person wants to go once everything is sent
const line = { timer: 0, busy: false, again: false, failures: 0, waits: 0, saidGone: false, isOverdue: false };

/* Rating goes on without them where their script cannot be had. */
async function offerCues() {
  try {
    const { cuesOn } = await Promise.race([import("./cues.js"), tooLate(LONGEST_WAIT_FOR_CUES_MS)]);
    const toggle = find("[data-cue-toggle]");
    return cuesOn(viewer, { panel: cuePanel, toggle, keyTable, keysAreOn, announce, changed: forgetMissing });
  } catch {
    return null;
  }
}

function tooLate(milliseconds) {
  return new Promise((_, fail) => setTimeout(fail, milliseconds));
}

/*
 * Answers that the server has not acknowledged. Tabs share them; the server knows an answer by its key. Each lies under a
 * name of its own, so that a tab that adds one never overwrites what another tab adds or drops at that moment.
 */
function outboxAt(prefix) {
  const memory = new Map(); // what the browser refuses to store, by the name it would have
  const isOurs = (name) => name?.startsWith(prefix) ?? false;

  /* Names in the order in which the answers came: a revision after what it revises. */
  function names() {
    let stored = [];
    try {
      stored = Object.keys(localStorage).filter(isOurs);
    } catch {
      // No storage: memory has them all.
    }
    return [...new Set([...stored, ...memory.keys()])].sort();
  }

  function read(name) {
    if (memory.has(name)) return memory.get(name);
    try {
      return JSON.parse(localStorage.getItem(name));
    } catch {
      return null;
    }
  }

  function add(answer) {
    const last = names().at(-1)?.slice(prefix.length) ?? "";
    const name = `${prefix}${String((parseInt(last, 10) || 0) + 1).padStart(6, "0")}.${answer.key}`;
    try {
      localStorage.setItem(name, JSON.stringify(answer));
    } catch {
      memory.set(name, answer);
    }
  }

  function drop(keys) {
    for (const name of names()) {
      if (!keys.has(read(name)?.key)) continue;
      memory.delete(name);
      try {
        localStorage.removeItem(name);
      } catch {
        // No storage: it was in memory alone.
      }
    }
  }

  return { isOurs, add, drop, all: () => names().map(read).filter(Boolean), isKept: () => memory.size === 0 };
}

/* Seconds since the pair was on the screen: with the page in view, and with it hidden behind another tab. */
function viewingClock() {
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

/* crypto.randomUUID exists only on https; a study in a laboratory may run on plain http. */
function uuid4() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const backOff = (times) => Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (times - 1));
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

/* How long a person waited for a pair, for whoever observes the page; nothing of it stays. */
function measureWait() {
  performance.mark("painted");
  if (performance.getEntriesByName("answered").length) performance.measure("wait", "answered", "painted");
  performance.clearMarks();
  performance.clearMeasures();
}

/* --- Pictures ------------------------------------------------------------------------------------------------ */

/* Both pictures get the smaller width and height of the two: one size on the screen, and neither is enlarged. */
function displaySize(pictures) {
  return {
    width: Math.min(...pictures.map((picture) => picture.width)),
    height: Math.min(...pictures.map((picture) => picture.height)),
  };
}

function figureOf(picture, { width, height }) {
  const figure = document.importNode(find(`template[data-picture="${picture.side}"]`).content, true).firstElementChild;
  const image = figure.querySelector("img");
  image.width = width;
  image.height = height;
  image.style.aspectRatio = `${width} / ${height}`;
  image.src = picture.url;
  return figure;
}

function load(pair) {
  pair.figures = pair.lease.pictures.map((picture) => figureOf(picture, pair.size));
  const decodings = pair.figures.map((figure) => figure.querySelector("img").decode());
  pair.decoded = Promise.all(decodings).then(() => true, () => false);
  return pair.decoded;
}

function loadingPair(lease) {
  const pair = { lease, size: displaySize(lease.pictures), shown: false, missing: false };
  load(pair);
  return pair;
}

/*
 * Keep what the server says is ours, in its order, without what is answered or on the screen already. A pair that did not
 * load and is not ours any more will not load however often it is tried.
 */
function hold(leases) {
  if (current?.missing && !leases.some(({ assignment }) => assignment === current.lease.assignment)) current = null;
  const loading = new Map(queue.map((pair) => [pair.lease.assignment, pair]));
  queue = leases
    .filter(({ assignment }) => !answered.has(assignment) && assignment !== current?.lease.assignment)
    .map((lease) => loading.get(lease.assignment) ?? loadingPair(lease));
}

/* Some pairs ask for one score in so many words. Those are the page's, the question is the study's. */
function ask({ instruction }) {
  const { lang, dir } = instruction ? document.documentElement : question.dataset;
  Object.assign(question, { lang, dir, textContent: instruction || question.dataset.question });
}

function noteInsteadOfPair(text, action = null) {
  const note = document.createElement("div");
  note.className = "pair-note";
  const words = document.createElement("p");
  words.textContent = text;
  note.append(words);
  if (action) note.append(action);
  viewer.clear();
  cues?.clear();
  pairBox.replaceChildren(note);
}

function retryButton(onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = gettext("Try again");
  button.addEventListener("click", onClick);
  return button;
}

/* Put the next pair on the screen, both of its pictures at once, and start the clock when they are there. */
async function showNext() {
  if (current || ended) return;
  scale.disabled = true;
  noteInsteadOfPair(nounWords.loading);
  if (!queue.length) return;
  current = queue.shift();
  await showCurrent();
}

async function showCurrent() {
  const pair = current;
  // What failed long ago, while it was fetched ahead, may well succeed now.
  const ready = (await pair.decoded) || (await load(pair));
  if (ended || pair !== current || pair.shown) return;
  pair.missing = !ready;
  if (pair.missing) {
    showPictureTrouble();
    return;
  }
  viewer.show(pair);
  cues?.show(pair);
  ask(pair.lease);
  await painted();
  measureWait();
  if (ended || pair !== current) return;
  scale.disabled = false;
  pair.shown = true;
  shownAt = performance.now();
  clock.start();
  // The question has the focus already, so what it asks for instead is said along.
  announce([pairInWords(), pair.lease.instruction].filter(Boolean).join(". "));
  sendIn(PAINT_GRACE_MS);
}

function showPictureTrouble() {
  const what = nounWords.trouble;
  const advice = gettext("Check your connection, then try again. Your answers are safe.");
  noteInsteadOfPair(`${what} ${advice}`, retryButton(retryPictures));
  announce(what);
}

async function retryPictures() {
  const pair = current;
  pair.missing = false;
  noteInsteadOfPair(nounWords.loadingAgain);
  question.focus({ preventScroll: true });
  load(pair);
  await showCurrent();
  if (pair.missing) sendIn(0); // it may not be ours any more
}

/* --- Answering ----------------------------------------------------------------------------------------------- */

function submit(event) {
  event.preventDefault();
  if (!current?.shown || ended) return;
  if (event.submitter?.name === "skip") skip();
  else confirmAnswer();
}

function confirmAnswer() {
  const { score, note, knows } = Object.fromEntries(new FormData(form));
  if (!score) {
    tell(NOTHING_CHOSEN);
    return;
  }
  missing = cues?.missing();
  if (missing) {
    tell(missing);
    return;
  }
  const beside = { ...(note && { note }), ...(knows && { knows }), ...cues?.answer(), ...(current.revises && { revises: true }) };
  const pair = current;
  leaveWith({ score: Number(score), ...beside, ...clock.stop(), viewing: viewer.conditions() });
  previous = { pair, score };
  undoButton.disabled = false;
}

function skip() {
  const { skips, note } = Object.fromEntries(new FormData(form));
  if (current.revises) tell(RATED_BEFORE);
  else if (!skips) tell(NO_REASON);
  else {
    clock.stop();
    leaveWith({ skips, ...(note && { note }) });
  }
}

/* What was said of the pair waits in the outbox, and the next one comes. */
function leaveWith(said) {
  performance.mark("answered", { startTime: pressedAt ?? performance.now() });
  const { assignment } = current.lease;
  answered.add(assignment);
  outbox.add({ key: uuid4(), assignment, ...said });
  current = null;
  clearScale();
  showProgress();
  showStatus();
  showNext();
  sendIn(PAINT_GRACE_MS);
}

/* Back to the previous pair; the one on the screen comes after it, with its clock begun anew. */
async function undo() {
  if (!previous || ended) return;
  const { pair, score } = previous;
  previous = null;
  undoButton.disabled = true;
  if (current) queue.unshift(Object.assign(current, { shown: false }));
  clock.stop();
  clearScale();
  current = Object.assign(pair, { shown: false, revises: true });
  showProgress();
  await showCurrent();
  if (current !== pair) return;
  scale.querySelector(`input[value="${score}"]`).checked = true;
  tell(interpolate(gettext("You chose %(score)s. Choose again and confirm."), { score }));
}

/* No trace of the last answer: nothing chosen, and the focus on the question rather than on a number. */
function clearScale() {
  emptyForm();
  for (const beside of form.querySelectorAll("[data-beside]")) beside.open = false;
  tell("");
  question.focus({ preventScroll: true });
}

function emptyForm() {
  for (const radio of form.querySelectorAll("input[type=radio]")) radio.checked = false;
  form.elements.note.value = "";
}

function pressKey(event) {
  const { target } = event;
  const key = latinKey(event);
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || keyTable.open) return;
  if (isTyping(target) && !isDigitInList(key, target)) return;
  if (key === "Enter") pressEnter(event, target);
  else if (/^[0-9]$/.test(key) && useKeys.checked && !event.repeat) chooseByKey(key);
  else if (key === "?" && useKeys.checked) keyTable.showModal();
  else if (key.toLowerCase() === "u" && useKeys.checked && !event.repeat) undo();
}

/* Letters choose in a list, and are words in a note; digits are no words in a list. */
function isTyping(element) {
  return element?.matches("textarea, select");
}

const isDigitInList = (key, element) => /^[0-9]$/.test(key) && element.matches("select");

function keysAreOn() {
  return useKeys.checked && !keyTable.open && !isTyping(document.activeElement);
}

/* Enter confirms from anywhere but a link or another button, and a key held down confirms only once. */
function pressEnter(event, target) {
  if (event.repeat) event.preventDefault();
  else if (target === confirmButton || !target.closest("a, button, summary")) {
    event.preventDefault();
    pressedAt = event.timeStamp;
    form.requestSubmit(confirmButton);
    pressedAt = null;
  }
}

function chooseByKey(key) {
  if (!current?.shown) return;
  const radio = scale.querySelector(`input[aria-keyshortcuts="${key}"]`);
  radio.checked = true;
  radio.focus({ preventScroll: true });
  forgetComplaint();
  if (confirmsOnPress) form.requestSubmit(confirmButton);
}

/* Where the study says so, pressing a score is the answer. Arrow keys only move along the scale: their clicks count 0. */
function pressScore(event) {
  if (confirmsOnPress && event.detail > 0 && event.target.matches("input")) form.requestSubmit(confirmButton);
}

/* A choice answers the complaint; news of a refused answer stays until the next answer. */
function forgetComplaint() {
  if (find("[data-note]").textContent === NOTHING_CHOSEN) tell("");
}

function forgetMissing() {
  if (missing && find("[data-note]").textContent === missing) tell("");
}

/* --- Sending ------------------------------------------------------------------------------------------------- */

function sendIn(milliseconds, act = send) {
  clearTimeout(line.timer);
  line.timer = setTimeout(act, milliseconds);
}

/* The pairs of a person who looks for long go on waiting for them: any request says that somebody is there. */
function renew() {
  line.isOverdue = document.hidden;
  if (!line.isOverdue && performance.now() - shownAt < LONGEST_LOOK_MS) send();
}

/* One request at a time, with everything that is unsent; it brings back the leases to load next. */
async function send() {
  clearTimeout(line.timer);
  if (ended) return;
  if (line.busy) {
    line.again = true;
    return;
  }
  line.busy = true;
  line.again = line.isOverdue = false;
  showStatus();
  const reply = await post(outbox.all());
  line.busy = false;
  if (reply?.acknowledgements) takeReply(reply);
  else if (reply) endSession(reply.refusedWith);
  else trySoon();
  showStatus();
}

/* The server's reply, or {refusedWith} its status when it takes nothing from this page, or null when trying again may help. */
async function post(answers) {
  const body = JSON.stringify({ answers, painted: current?.shown ? current.lease.assignment : null });
  try {
    const response = await fetch(answerUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
      body,
      keepalive: new Blob([body]).size < MOST_OUTLIVES,
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    });
    const reply = await response.json().catch(() => ({}));
    if (Array.isArray(reply?.acknowledgements)) return reply;
    if (isRefusal(response.status)) return { refusedWith: response.status };
  } catch {
    // Offline, cut off or too slow: the answers stay in the outbox.
  }
  return null;
}

const isRefusal = (status) => status >= 400 && status < 500 && !TRY_AGAIN.has(status);

function trySoon() {
  line.failures += 1;
  const kept = gettext("The connection is gone. Your answers are kept and sent later.");
  const open = gettext("The connection is gone. Your answers are sent later if you leave this page open.");
  if (!line.saidGone && outbox.all().length) {
    line.saidGone = true;
    announce(outbox.isKept() ? kept : open);
  }
  line.isOverdue = true;
  if (outbox.all().length || !current) sendIn(backOff(line.failures));
  else sendIn(renewEvery, renew);
}

function takeReply(reply) {
  const done = progress.done + settle(reply.acknowledgements);
  progress = reply.progress;
  hold(reply.leases);
  if (progress.done > done) leaveWhatIsAnswered(reply.leases);
  showProgress();
  const unsent = outbox.all().length;
  const looksAtOne = current?.shown && !current.revises; // which still may be answered, and brings the end then
  if (!unsent && reply.finished && !looksAtOne) go(reply.finished_url);
  else if (!unsent && leavingTo) go(leavingTo);
  else {
    if (line.saidGone && !unsent) sayItIsBack();
    showNext();
    planNextRequest(reply.acknowledgements, unsent);
  }
}

/* Where a pair comes next, its number says so. */
function sayItIsBack() {
  line.saidGone = false;
  if (current?.shown) announce(gettext("The connection is back. All answers are saved."));
}

/*
 * Stored, repeated or refused: each ends the matter. A refused assignment may be asked again if the server still leases it.
 * How many pairs are done by it.
 */
function settle(acknowledgements) {
  const answers = new Map(outbox.all().map((answer) => [answer.key, answer]));
  let done = 0;
  for (const { key, status, detail, feedback } of acknowledgements) {
    const answer = answers.get(key) ?? {};
    if (feedback) tell(feedback);
    if (status !== "refused") {
      done += countsAsDone(answer);
      continue;
    }
    answered.delete(answer.assignment);
    tell(`${gettext("One answer was not accepted.")} ${detail}`);
  }
  outbox.drop(new Set(acknowledgements.map(({ key }) => key)));
  return done;
}

/*
 * The server has an answer that this page has not sent: it came from another device, or was still on its way when the page
 * was loaded. A pair that is gone without one stays: its time ran out, and an answer to it is kept all the same.
 */
function leaveWhatIsAnswered(leases) {
  const isHeld = leases.some(({ assignment }) => assignment === current?.lease.assignment);
  if (current && !isHeld) leaveAnswered(current.lease);
}

function planNextRequest(acknowledgements, unsent) {
  const stuck = unsent && !line.again && !acknowledgements.length;
  line.failures = stuck ? line.failures + 1 : 0;
  line.waits = current ? 0 : line.waits + 1;
  if (stuck) sendIn(backOff(line.failures));
  else if (unsent || line.again) sendIn(0);
  else if (!current) sendIn(backOff(line.waits));
  else sendIn(renewEvery, renew);
}

function tryNow() {
  if (ended || document.hidden) return;
  line.failures = 0;
  if (current?.missing) retryPictures();
  if (outbox.all().length || !current || line.isOverdue) send();
}

/* Another tab of this person has answered, or has sent its answers: what they answered there is not asked again here. */
function hearOtherTab({ key: name, oldValue, newValue }) {
  if (ended || !outbox.isOurs(name)) return;
  if (newValue) {
    sendIn(FIRST_RETRY_MS); // should the other tab not be able to
    const { revises, ...answer } = JSON.parse(newValue);
    if (!revises) leaveAnswered(answer);
  } else {
    const sent = oldValue ? JSON.parse(oldValue) : {};
    if (countsAsDone(sent)) progress.done += 1; // until the server says how far we are
    sendIn(PAINT_GRACE_MS);
  }
  showProgress();
  showStatus();
}

function leaveAnswered({ assignment }) {
  answered.add(assignment);
  queue = queue.filter((pair) => pair.lease.assignment !== assignment);
  if (current?.lease.assignment !== assignment || current.revises) return;
  current = null;
  clock.stop();
  clearScale();
  tell(ANSWERED_ALREADY);
  showNext();
}

/* The page is going away: what still waited for the next paint leaves now; the request outlives the page. */
function tryLast() {
  if (outbox.all().length) send();
}

/* Nothing more is sent from this page; what the outbox holds is sent when the page is loaded again and may answer. */
function endSession(status) {
  ended = true;
  clock.stop();
  scale.disabled = true;
  confirmButton.disabled = true;
  const words = [ENDINGS[status] ?? OTHER_ENDING, fateOf(outbox.all().length)].filter(Boolean).join(" ");
  const again = document.createElement("a");
  again.href = form.action;
  again.textContent = gettext("Load the page again");
  const hadFocus = document.activeElement;
  noteInsteadOfPair(words, again);
  if (!document.contains(hadFocus) || hadFocus.matches(":disabled, body, [hidden] *")) again.focus();
  announce(words);
}

function fateOf(n) {
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
  return interpolate(outbox.isKept() ? kept : lost, { n });
}

function go(url) {
  ended = true;
  window.onbeforeunload = null;
  location.assign(url);
}

/* A link away waits for the answers; pressed again it goes at once, and the browser asks first. */
function leave(event) {
  if (!outbox.all().length || leavingTo || ended) return;
  event.preventDefault();
  leavingTo = event.currentTarget.href;
  send();
}

/* --- What the page says -------------------------------------------------------------------------------------- */

function announce(text) {
  find("[data-announce]").textContent = text;
}

function tell(text) {
  find("[data-note]").textContent = text;
}

function pairInWords() {
  const place = answeredInAll() + (current?.revises ? 0 : 1);
  const { total } = progress;
  if (total === null) return interpolate(nounWords.place, { place });
  return interpolate(nounWords.placeOfAll, { place: Math.min(place, total), total });
}

/* What the server counts, and what it has not heard of yet. */
function answeredInAll() {
  return progress.done + outbox.all().filter(countsAsDone).length;
}

const countsAsDone = ({ score, revises }) => score !== undefined && !revises;

function showProgress() {
  const bar = find("[data-progress]");
  find("[data-progress-text]").textContent = pairInWords();
  bar.hidden = progress.total === null;
  if (progress.total !== null) {
    bar.max = progress.total;
    bar.value = answeredInAll();
  }
}

function showStatus() {
  const unsent = outbox.all().length;
  find("[data-status]").textContent = statusInWords(unsent);
  window.onbeforeunload = unsent && !(ended && outbox.isKept()) ? (event) => event.preventDefault() : null;
}

function statusInWords(n) {
  if (!n) return gettext("All answers saved");
  if (!ended && !line.failures) return gettext("Saving…");
  return interpolate(unsentInWords(n), { n });
}

function unsentInWords(n) {
  if (!outbox.isKept()) {
    return ngettext(
      "%(n)s answer not sent yet. This browser cannot keep it: leave this page open.",
      "%(n)s answers not sent yet. This browser cannot keep them: leave this page open.",
      n,
    );
  }
  if (ended) return ngettext("%(n)s answer kept in this browser", "%(n)s answers kept in this browser", n);
  return ngettext("%(n)s answer not sent yet, trying again", "%(n)s answers not sent yet, trying again", n);
}

/* The choice about the keys is the browser's, not the study's. */
function rememberKeyChoice() {
  const name = "perceptanon.keys";
  try {
    useKeys.checked = localStorage.getItem(name) !== "off";
  } catch {
    // No storage: the keys are on at each visit.
  }
  useKeys.addEventListener("change", () => {
    try {
      localStorage.setItem(name, useKeys.checked ? "on" : "off");
    } catch {
      // as above
    }
  });
  find("[data-keys]").hidden = false;
}

/* --- Start --------------------------------------------------------------------------------------------------- */

function listen() {
  form.noValidate = true; // the message about a missing score is ours
  form.addEventListener("submit", submit);
  scale.addEventListener("click", pressScore);
  undoButton.addEventListener("click", undo);
  form.addEventListener("change", forgetComplaint);
  document.addEventListener("keydown", pressKey);
  find("[data-open-keys]").addEventListener("click", () => keyTable.showModal());
  document.addEventListener("visibilitychange", tryNow);
  window.addEventListener("online", tryNow);
  window.addEventListener("pagehide", tryLast);
  window.addEventListener("storage", hearOtherTab);
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  for (const link of document.querySelectorAll("[data-leave]")) link.addEventListener("click", leave);
}

function start() {
  pairBox.removeAttribute("data-served");
  find("[data-undo-plain]")?.remove();
  undoButton.hidden = false;
  emptyForm();
  rememberKeyChoice();
  listen();
  offerBreaks({ form, notice: find("[data-break]"), participation });
  hold(JSON.parse(find("#leases").textContent));
  showProgress();
  showStatus();
  showNext();
  tryNow();
}

start();
