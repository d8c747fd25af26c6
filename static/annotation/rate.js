/*
 * The rating page at speed: it wires what the other modules do. What a person says of a pair goes into the outbox, the next
 * pair comes from those that are loaded already, and the line sends behind the scenes until the server has it.
 * Without this script the page is a plain form that does the same, one request at a time.
 */

import { offerBreaks } from "./breaks.js";
import { beginWait, viewingClock } from "./clock.js";
import { gesturesOn } from "./gestures.js";
import { keysOn } from "./keys.js";
import { lineTo } from "./line.js";
import { outboxAt } from "./outbox.js";
import { pairsIn } from "./pairs.js";
import { announce, announceBack, announceGone, endingInWords, placeInWords, showProgress, showStatus, tell, untell } from "./say.js";
import { viewerOf } from "./viewer.js";
import { gettext, interpolate } from "./words.js";

const NOTHING_CHOSEN = gettext("Choose a score from 1 to 10.");
const NO_REASON = gettext("Say why you skip it: choose one of the reasons.");
const RATED_BEFORE = gettext("You have rated this one already; choose another score, or confirm the same.");
const ANSWERED_ALREADY = gettext("You have answered that one already; here is the next.");
const LONGEST_WAIT_FOR_CUES_MS = 5000;
const LONGEST_WAIT_FOR_FEEDBACK_MS = 5000; // then the next pair comes, and what is said to practice stands beside it

const find = (selector) => document.querySelector(selector);
const form = find("form[data-answer-url]");
const scale = find("[data-scale]");
const question = find("[data-question]");
const keyTable = find("[data-key-table]");
const confirmButton = form.querySelector("button[type=submit]");
const undoButton = find("[data-undo]");
const goOnButton = find("[data-go-on]");
const { answerUrl, participation, noun, renewSeconds, done, total, practice } = form.dataset;
const confirmsOnPress = "confirmsOnPress" in form.dataset;

const keys = keysOn({ offer: find("[data-keys]"), table: keyTable, confirmButton, choose: chooseByKey, confirm, undo });
const outbox = outboxAt(`perceptanon.outbox.${participation}.`);
const clock = viewingClock();
const gestures = gesturesOn(form, { opened: () => showWaiting(false), closed: () => showWaiting(true) });
const viewer = viewerOf(find("[data-pair]"), {
  tools: find("[data-view-tools]"),
  divider: find("[data-divider]"),
  keysAreOn: keys.areOn,
  announce,
});
const cuePanel = find("[data-cues]"); // where the study asks for boxes on what gives something away
const cues = cuePanel && (await offerCues());
const pairs = pairsIn(find("[data-pair]"), {
  question,
  noun,
  counted: { done: Number(done), total: total ? Number(total) : null },
  outbox,
  viewer,
  cues,
  heard: {
    awaited: gestures.close,
    shown: takeUp,
    stays: gestures.close,
    left: clearAway,
    answeredElsewhere: () => tell(ANSWERED_ALREADY),
    trouble: announce,
    missing: () => line.send(), // it may not be ours any more
  },
});
const line = lineTo(answerUrl, {
  token: form.elements.csrfmiddlewaretoken.value,
  renewEvery: Number(renewSeconds) * 1000,
  outbox,
  pairs,
  heard: {
    changed: showUnsent,
    took: takeReply,
    refused: endSession,
    gone: () => announceGone(unsent()),
    back: () => pairs.inFront() && announceBack(), // where a pair comes next, its number says so
  },
});
let stayed = null; // of a pair that stays: its score, and the timer that ends its wait
const wayOut = wayOutBy(document.querySelectorAll("[data-leave]"));

/* Rating goes on without them where their script cannot be had. */
async function offerCues() {
  try {
    const { cuesOn } = await Promise.race([import("./cues.js"), tooLate(LONGEST_WAIT_FOR_CUES_MS)]);
    const toggle = find("[data-cue-toggle]");
    return cuesOn(viewer, { panel: cuePanel, toggle, keyTable, keysAreOn: keys.areOn, announce, changed: untell });
  } catch {
    return null;
  }
}

function tooLate(milliseconds) {
  return new Promise((_, fail) => setTimeout(fail, milliseconds));
}

/* --- A pair comes, is answered, and goes ---------------------------------------------------------------------- */

function takeUp({ lease }) {
  clock.start();
  gestures.comesIntoView();
  // The question has the focus already, so what it asks for instead is said along.
  announce([placeInWords(noun, pairs.progress()), lease.instruction].filter(Boolean).join(". "));
  line.sendSoon();
}

/* Until the pair in view takes input. The button keeps the focus, so it is only said to be off. */
function showWaiting(waits) {
  scale.disabled = waits || pairs.staying() !== null;
  confirmButton.setAttribute("aria-disabled", scale.disabled);
}

function answerable() {
  return gestures.takesInput() ? pairs.inFront() : null;
}

function submit(event) {
  event.preventDefault();
  const pair = answerable();
  if (!pair) return;
  if (event.submitter?.name === "skip") skip(pair);
  else confirmAnswer(pair);
}

function confirmAnswer({ revises }) {
  const { score, note, knows } = Object.fromEntries(new FormData(form));
  const complaint = score ? cues?.missing() : NOTHING_CHOSEN;
  if (complaint) {
    tell(complaint);
    return;
  }
  const beside = { ...(note && { note }), ...(knows && { knows }), ...cues?.answer(), ...(revises && { revises }) };
  leaveWith({ score: Number(score), ...beside, ...clock.stop(), viewing: viewer.conditions() });
}

function skip({ revises }) {
  const { skips, note } = Object.fromEntries(new FormData(form));
  if (revises) tell(RATED_BEFORE);
  else if (!skips) tell(NO_REASON);
  else leaveWith({ skips, ...(note && { note }) });
}

/* What was said of the pair waits in the outbox, and the next one comes. */
function leaveWith(said) {
  beginWait(keys.pressedAt());
  const isPractice = pairs.progress().done < Number(practice) && !said.revises && !said.skips;
  outbox.add({ assignment: pairs.painted(), ...said });
  if (isPractice) awaitFeedback(said.score);
  else pairs.leave(said.score);
  showUnsent();
  if (isPractice) line.send();
  else line.sendSoon();
}

/* --- Practice: what is said to it stands beside its pictures, until the person goes on -------------------------- */

function awaitFeedback(score) {
  pairs.stay();
  stayed = { score, timer: setTimeout(goOn, LONGEST_WAIT_FOR_FEEDBACK_MS) };
}

function showFeedback(acknowledgements) {
  const said = acknowledgements.find(({ answer }) => answer.assignment === pairs.staying());
  if (!stayed || !said) return;
  clearTimeout(stayed.timer);
  if (!said.feedback) {
    goOn();
    return;
  }
  goOnButton.hidden = false;
  goOnButton.focus({ preventScroll: true });
  gestures.comesIntoView();
}

function goOn() {
  pairs.leave(stayed.score);
  line.sendSoon();
}

function endStay() {
  clearTimeout(stayed?.timer);
  stayed = null;
  goOnButton.hidden = true;
}

function pressGoOn() {
  if (stayed && gestures.takesInput()) goOn();
}

async function undo() {
  if (gestures.isWaiting() || stayed) return;
  const score = await pairs.goBack();
  if (score === null) return;
  const pair = pairs.inFront();
  await gestures.ready();
  if (pairs.inFront() !== pair) return;
  scale.querySelector(`input[value="${score}"]`).checked = true;
  tell(interpolate(gettext("You chose %(score)s. Choose again and confirm."), { score }));
}

/* No trace of the last answer: nothing chosen, and the focus on the question rather than on a number. */
function clearAway() {
  endStay();
  gestures.close();
  clock.stop();
  emptyForm();
  for (const beside of form.querySelectorAll("[data-beside]")) beside.open = false;
  tell("");
  question.focus({ preventScroll: true });
  undoButton.disabled = !pairs.canGoBack();
  showProgress(noun, pairs.progress());
}

/* What opens comes into view, and takes the focus: on a small screen it would open below its edge. */
function bringIntoView({ target }) {
  if (!target.open) return;
  target.scrollIntoView({ block: "nearest" });
  target.querySelector("input, textarea")?.focus({ preventScroll: true });
}

function emptyForm() {
  for (const radio of form.querySelectorAll("input[type=radio]")) radio.checked = false;
  form.elements.note.value = "";
}

function confirm() {
  form.requestSubmit(confirmButton);
}

function chooseByKey(key) {
  if (!answerable()) return;
  const radio = scale.querySelector(`input[aria-keyshortcuts="${key}"]`);
  radio.checked = true;
  radio.focus({ preventScroll: true });
  untell(NOTHING_CHOSEN);
  if (confirmsOnPress) confirm();
}

/* Where the study says so, pressing a score is the answer. Arrow keys only move along the scale: their clicks count 0. */
function pressScore(event) {
  if (confirmsOnPress && event.detail > 0 && event.target.matches("input")) confirm();
}

/* --- What the server and other tabs say ----------------------------------------------------------------------- */

function takeReply(reply) {
  for (const { status, detail, feedback } of reply.acknowledgements) {
    if (feedback) tell(feedback);
    if (status === "refused") tell(`${gettext("One answer was not accepted.")} ${detail}`);
  }
  showFeedback(reply.acknowledgements);
  pairs.take(reply);
  showProgress(noun, pairs.progress());
  if (stayed) return; // the person reads what was said to the pair, and goes on then
  const pair = pairs.inFront();
  const looksAtOne = pair && !pair.revises; // which still may be answered, and brings the end then
  const next = reply.finished && !looksAtOne ? reply.finished_url : wayOut.wanted();
  if (next && !outbox.all().length) go(next);
  else pairs.showNext();
}

/* What they answered there is not asked again here. */
function hearOtherTab(act) {
  return (answer) => {
    if (line.isClosed()) return;
    act(answer);
    showProgress(noun, pairs.progress());
    showUnsent();
  };
}

function takeOver(answer) {
  line.sendForOther();
  if (!answer.revises) pairs.leaveAnswered(answer);
}

function count(answer) {
  pairs.count(answer);
  line.sendSoon();
}

const unsent = () => ({
  n: outbox.all().length,
  isKept: outbox.isKept(),
  isClosed: line.isClosed(),
  isFailing: line.isFailing(),
});

function showUnsent() {
  const state = unsent();
  showStatus(state);
  window.onbeforeunload = state.n && !(state.isClosed && state.isKept) ? (event) => event.preventDefault() : null;
}

/* --- The end -------------------------------------------------------------------------------------------------- */

/* Nothing more is sent from this page; what the outbox holds is sent when the page is loaded again and may answer. */
function endSession(status) {
  pairs.close();
  clock.stop();
  gestures.close();
  confirmButton.disabled = true;
  const words = endingInWords(status, unsent());
  const again = document.createElement("a");
  again.href = form.action;
  again.textContent = gettext("Load the page again");
  const hadFocus = document.activeElement;
  pairs.standIn(words, again);
  if (!document.contains(hadFocus) || hadFocus.matches(":disabled, body, [hidden] *")) again.focus();
  announce(words);
}

function go(url) {
  line.close();
  pairs.close();
  window.onbeforeunload = null;
  location.assign(url);
}

/* A link away waits for the answers; pressed again it goes at once, and the browser asks first. */
function wayOutBy(links) {
  let wanted = null;

  function leave(event) {
    if (!outbox.all().length || wanted || line.isClosed()) return;
    event.preventDefault();
    wanted = event.currentTarget.href;
    line.send();
  }

  for (const link of links) link.addEventListener("click", leave);
  return { wanted: () => wanted };
}

/* --- Start ---------------------------------------------------------------------------------------------------- */

function listen() {
  form.noValidate = true; // the message about a missing score is ours
  form.addEventListener("submit", submit);
  form.addEventListener("change", () => untell(NOTHING_CHOSEN)); // news of a refused answer stays until the next answer
  scale.addEventListener("click", pressScore);
  undoButton.addEventListener("click", undo);
  goOnButton.addEventListener("click", pressGoOn);
  for (const beside of form.querySelectorAll("[data-beside]")) beside.addEventListener("toggle", bringIntoView);
  outbox.hear({ added: hearOtherTab(takeOver), dropped: hearOtherTab(count) });
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  keys.listen();
}

function start() {
  find("[data-pair]").removeAttribute("data-served");
  find("[data-undo-plain]")?.remove();
  undoButton.hidden = false;
  emptyForm();
  listen();
  offerBreaks({ form, notice: find("[data-break]"), participation });
  pairs.hold(JSON.parse(find("#leases").textContent));
  showProgress(noun, pairs.progress());
  showUnsent();
  pairs.showNext();
  line.tryNow();
}

start();
