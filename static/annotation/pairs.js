/*
 * The pairs of a person: the one on the screen, those that come next, whose pictures are fetched and decoded meanwhile,
 * and the one before, whose answer can be changed. And how far the person has come with them.
 */

import { endWait } from "./clock.js";
import { gettext } from "./words.js";

const LONGEST_LOOK_MS = 2 * 3600_000; // at one pair; after it nobody is taken to be there any more

/* What depends on whether the study shows pairs or single pictures. */
const WORDS = {
  pair: {
    loading: gettext("Loading the next pair…"),
    loadingAgain: gettext("Loading the pair again…"),
    trouble: gettext("The pictures did not load."),
  },
  picture: {
    loading: gettext("Loading the next picture…"),
    loadingAgain: gettext("Loading the picture again…"),
    trouble: gettext("The picture did not load."),
  },
};

const find = (selector) => document.querySelector(selector);
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const countsAsDone = ({ score, revises }) => score !== undefined && !revises;

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

function retryButton(onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = gettext("Try again");
  button.addEventListener("click", onClick);
  return button;
}

/*
 * `box` is their place on the page, `question` what is asked of them, `noun` what the study shows; `viewer` and `cues` are
 * given each pair that comes on the screen. `heard` is told when a pair is `awaited`, `shown`, or `left`, and when it `stays` though it is answered; when it was
 * `answeredElsewhere`; when its pictures are in `trouble`, and when they are after another try, that they are `missing`.
 */
export function pairsIn(box, { question, noun, counted, outbox, viewer, cues, heard }) {
  const words = WORDS[noun];
  const answered = new Set(outbox.all().map(({ assignment }) => assignment));
  let { done, total } = counted; // by the server
  let current = null; // the pair on the screen, or on its way there
  let previous = null; // the pair before it and the score it got
  let queue = []; // the pairs after it, loading or loaded
  let shownAt = 0; // when the pair came on the screen
  let isClosed = false;

  const isCurrent = ({ assignment }) => assignment === current?.lease.assignment;
  const inFront = () => (current?.shown && !current.stays && !isClosed ? current : null);

  /* --- On the screen --- */

  /* Some pairs ask for one score in so many words. Those are the page's, the question is the study's. */
  function ask({ instruction }) {
    const { lang, dir } = instruction ? document.documentElement : question.dataset;
    Object.assign(question, { lang, dir, textContent: instruction || question.dataset.question });
  }

  /* Words in the place of the pair, and what can be done about it. */
  function standIn(text, action = null) {
    const note = document.createElement("div");
    note.className = "pair-note";
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    note.append(paragraph);
    if (action) note.append(action);
    viewer.clear();
    cues?.clear();
    box.replaceChildren(note);
  }

  /* Put the next pair on the screen, both of its pictures at once. */
  async function showNext() {
    if (current || isClosed) return;
    heard.awaited();
    standIn(words.loading);
    if (!queue.length) return;
    current = queue.shift();
    await showCurrent();
  }

  async function showCurrent() {
    const pair = current;
    // What failed long ago, while it was fetched ahead, may well succeed now.
    const ready = (await pair.decoded) || (await load(pair));
    if (isClosed || pair !== current || pair.shown) return;
    pair.missing = !ready;
    if (pair.missing) {
      showTrouble();
      return;
    }
    viewer.show(pair);
    cues?.show(pair);
    ask(pair.lease);
    await painted();
    endWait();
    if (isClosed || pair !== current) return;
    pair.shown = true;
    shownAt = performance.now();
    heard.shown(pair);
  }

  function showTrouble() {
    const advice = gettext("Check your connection, then try again. Your answers are safe.");
    standIn(`${words.trouble} ${advice}`, retryButton(retry));
    heard.trouble(words.trouble);
  }

  async function retry() {
    const pair = current;
    pair.missing = false;
    standIn(words.loadingAgain);
    question.focus({ preventScroll: true });
    load(pair);
    await showCurrent();
    if (pair.missing) heard.missing();
  }

  function retryMissing() {
    if (!isClosed && !document.hidden && current?.missing) retry();
  }

  /* --- Answered, and next --- */

  /* What was said of the pair is in the outbox; its pictures stay until `leave`, for what is said to it in return. */
  function stay() {
    answered.add(current.lease.assignment);
    current.stays = true;
    previous = null;
    heard.stays();
  }

  /* What was said of the pair is in the outbox. Where it got a score, that can be changed until the next one is given. */
  function leave(score = null) {
    answered.add(current.lease.assignment);
    if (score !== null) previous = { pair: Object.assign(current, { stays: false }), score };
    current = null;
    heard.left();
    showNext();
  }

  /* To the pair before; the one on the screen comes after it. The score it got, once it is on the screen. */
  async function goBack() {
    if (!previous || isClosed) return null;
    const { pair, score } = previous;
    previous = null;
    if (current) queue.unshift(Object.assign(current, { shown: false }));
    current = Object.assign(pair, { shown: false, revises: true });
    heard.left();
    await showCurrent();
    return current === pair ? score : null;
  }

  function leaveAnswered({ assignment }) {
    answered.add(assignment);
    queue = queue.filter((pair) => pair.lease.assignment !== assignment);
    if (!isCurrent({ assignment }) || current.revises) return;
    current = null;
    heard.left();
    heard.answeredElsewhere();
    showNext();
  }

  /*
   * Keep what the server says is ours, in its order, without what is answered or on the screen already. A pair that did
   * not load and is not ours any more will not load however often it is tried.
   */
  function hold(leases) {
    if (current?.missing && !leases.some(isCurrent)) current = null;
    const loading = new Map(queue.map((pair) => [pair.lease.assignment, pair]));
    queue = leases
      .filter((lease) => !answered.has(lease.assignment) && !isCurrent(lease))
      .map((lease) => loading.get(lease.assignment) ?? loadingPair(lease));
  }

  /* What the server says: what became of the answers, how many it counts, and what comes next. */
  function take({ acknowledgements, progress, leases }) {
    const known = done + settle(acknowledgements);
    ({ done, total } = progress);
    hold(leases);
    if (done > known) leaveWhatIsAnswered(leases);
  }

  /* A refused assignment may be asked again if the server still leases it. How many pairs are done by the others. */
  function settle(acknowledgements) {
    const answers = (isRefused) => acknowledgements.filter(({ status }) => (status === "refused") === isRefused);
    for (const { answer } of answers(true)) answered.delete(answer.assignment);
    return answers(false).filter(({ answer }) => countsAsDone(answer)).length;
  }

  /*
   * The server has an answer that this page has not sent: it came from another device, or was still on its way when the
   * page was loaded. A pair that is gone without one stays: its time ran out, and an answer to it is kept all the same.
   */
  function leaveWhatIsAnswered(leases) {
    if (current && !leases.some(isCurrent)) leaveAnswered(current.lease);
  }

  /* --- How far --- */

  /* What the server counts, and what it has not heard of yet. */
  function progress() {
    const nDone = done + outbox.all().filter(countsAsDone).length;
    return { done: nDone, total, place: nDone + (current?.revises || current?.stays ? 0 : 1) };
  }

  document.addEventListener("visibilitychange", retryMissing);
  window.addEventListener("online", retryMissing);

  return {
    hold,
    take,
    showNext,
    standIn,
    stay,
    /* The assignment that was answered and whose pictures are still there. */
    staying: () => (current?.stays ? current.lease.assignment : null),
    leave,
    leaveAnswered,
    goBack,
    progress,
    inFront,
    /* The assignment that can be answered now. */
    painted: () => inFront()?.lease.assignment ?? null,
    isEmpty: () => !current,
    isLookedAt: () => performance.now() - shownAt < LONGEST_LOOK_MS,
    canGoBack: () => previous !== null,
    /* Another tab's answer has reached the server, which will say so. */
    count(answer) {
      if (countsAsDone(answer)) done += 1;
    },
    close() {
      isClosed = true;
    },
  };
}
