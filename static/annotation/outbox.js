/*
 * Answers that the server has not acknowledged. They outlive the page, and the tabs of a browser share them; the server
 * knows an answer by its key. Each lies under a name of its own, so that a tab that adds one never overwrites what
 * another tab adds or drops at that moment.
 */

export function outboxAt(prefix) {
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

  const read = (name) => memory.get(name) ?? answerIn(localStorage.getItem(name));

  /* Keep what was said, under a key of its own. */
  function add(said) {
    const answer = { key: uuid4(), ...said };
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

  /* What other tabs do: `added` hears of an answer, `dropped` of one that the server has. */
  function hear({ added, dropped }) {
    window.addEventListener("storage", ({ key: name, oldValue, newValue }) => {
      if (!isOurs(name)) return;
      const answer = answerIn(newValue ?? oldValue);
      if (answer) (newValue ? added : dropped)(answer);
    });
  }

  return { add, drop, hear, all: () => names().map(read).filter(Boolean), isKept: () => memory.size === 0 };
}

/* Null for what is none: a name of ours may hold what some other version of the page has left there. */
function answerIn(text) {
  try {
    const answer = JSON.parse(text);
    return answer?.key ? answer : null;
  } catch {
    return null;
  }
}

/* crypto.randomUUID exists only on https; a study in a laboratory may run on plain http. */
function uuid4() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
