/*
 * The line to the server. It sends what is in the outbox, one request at a time, until the server has it. Every request
 * says which pair is painted, and its reply brings what comes next: so the line asks, too, while no pair is in front, and
 * from time to time while somebody looks at one.
 */

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const REQUEST_LIMIT_MS = 20_000;
const MOST_OUTLIVES = 60_000; // bytes; browsers send no more than 64 KiB for pages that go away
const PAINT_GRACE_MS = 80; // lets the answer travel together with the news of the next pair on the screen
const TRY_AGAIN = new Set([408, 429]); // refusals that pass by themselves

const backOff = (times) => Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (times - 1));
const isRefusal = (status) => status >= 400 && status < 500 && !TRY_AGAIN.has(status);

/*
 * `pairs` are asked what is `painted()`, whether they are `isEmpty()` and somebody still `isLookedAt()`. `heard` is told when
 * the state has `changed`, with each reply that it `took`, once when the line is `gone` with answers unsent and once when it
 * is `back`, and with the status when the server `refused` to take anything more, after which nothing is sent.
 */
export function lineTo(url, { token, renewEvery, outbox, pairs, heard }) {
  let timer = 0;
  let isBusy = false;
  let isWanted = false; // again, once the request on its way is answered
  let isOverdue = false; // a renewal was left out or failed
  let isGone = false;
  let isClosed = false;
  let failures = 0; // one after the other
  let waits = 0; // for a pair, one after the other

  const nUnsent = () => outbox.all().length;

  function sendIn(milliseconds, act = send) {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  }

  /* The pairs of a person who looks for long go on waiting for them: any request says that somebody is there. */
  function renew() {
    isOverdue = document.hidden;
    if (!isOverdue && pairs.isLookedAt()) send();
  }

  async function send() {
    clearTimeout(timer);
    if (isClosed) return;
    if (isBusy) {
      isWanted = true;
      return;
    }
    isBusy = true;
    isWanted = isOverdue = false;
    heard.changed();
    const reply = await post(outbox.all());
    isBusy = false;
    if (reply?.acknowledgements) take(reply);
    else if (reply) refuse(reply.refusedWith);
    else trySoon();
    heard.changed();
  }

  /* The server's reply, or {refusedWith} its status when it takes nothing from this page, or null when trying again may help. */
  async function post(answers) {
    const body = JSON.stringify({ answers, painted: pairs.painted() });
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
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

  /* Stored, repeated or refused: each ends the matter. What another tab has dropped already comes without its answer. */
  function take(reply) {
    const answers = new Map(outbox.all().map((answer) => [answer.key, answer]));
    const acknowledgements = reply.acknowledgements.map((each) => ({ ...each, answer: answers.get(each.key) ?? {} }));
    outbox.drop(new Set(acknowledgements.map(({ key }) => key)));
    heard.took({ ...reply, acknowledgements });
    if (isClosed) return;
    if (isGone && !nUnsent()) {
      isGone = false;
      heard.back();
    }
    plan(acknowledgements.length > 0);
  }

  function plan(wasAcknowledged) {
    const isStuck = nUnsent() && !isWanted && !wasAcknowledged;
    failures = isStuck ? failures + 1 : 0;
    waits = pairs.isEmpty() ? waits + 1 : 0;
    if (isStuck) sendIn(backOff(failures));
    else if (nUnsent() || isWanted) sendIn(0);
    else if (pairs.isEmpty()) sendIn(backOff(waits));
    else sendIn(renewEvery, renew);
  }

  function refuse(status) {
    isClosed = true;
    heard.refused(status);
  }

  function trySoon() {
    failures += 1;
    isOverdue = true;
    if (!isGone && nUnsent()) {
      isGone = true;
      heard.gone();
    }
    if (nUnsent() || pairs.isEmpty()) sendIn(backOff(failures));
    else sendIn(renewEvery, renew);
  }

  function tryNow() {
    if (isClosed || document.hidden) return;
    failures = 0;
    if (nUnsent() || pairs.isEmpty() || isOverdue) send();
  }

  /* The page is going away: what still waited for the next paint leaves now; the request outlives the page. */
  function tryLast() {
    if (nUnsent()) send();
  }

  document.addEventListener("visibilitychange", tryNow);
  window.addEventListener("online", tryNow);
  window.addEventListener("pagehide", tryLast);

  return {
    send,
    tryNow,
    /* With whatever is painted in a moment. */
    sendSoon: () => sendIn(PAINT_GRACE_MS),
    /* What another tab has said, should that tab not be able to. */
    sendForOther: () => sendIn(FIRST_RETRY_MS),
    isFailing: () => failures > 0,
    isClosed: () => isClosed,
    close() {
      isClosed = true;
    },
  };
}
