const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const FEWEST = 2;
const ATTEMPTS = 3;
const LONGEST_PAUSE = 30; // seconds, before the next attempt
const CLEAR = 0.6; // a probability under it is called close

const EXAMPLE = {
  question: "How long should I boil an egg?",
  answers: [
    "Six minutes for a runny yolk, ten for a firm one. Start counting when the water boils, then cool the egg.",
    "It depends on many things, and different people have different opinions about it. You should just try.",
  ],
};

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const submit = page.form.querySelector("[type=submit]");
let scored = ""; // the texts that the results on the page belong to
let verdict = "";
let running = null;

/* Texts and fields */

const answerFields = () => [...page.answers.querySelectorAll("textarea")];
const fields = () => [page.question, ...answerFields()];
const texts = () => JSON.stringify(fields().map((field) => field.value));
const nameOf = (field) => field.labels[0].textContent;

function addAnswer(text = "") {
  const card = page.card.content.cloneNode(true).firstElementChild;
  card.querySelector("textarea").value = text;
  page.answers.append(card);
  nameAnswers();
  return card.querySelector("textarea");
}

function removeAnswer(card) {
  const next = card.nextElementSibling ?? card.previousElementSibling;
  clearProblem();
  card.remove();
  nameAnswers();
  changed();
  next.querySelector("textarea").focus();
}

function nameAnswers() {
  const cards = [...page.answers.children];
  cards.forEach((card, i) => {
    const [label, remove, text] = card.querySelectorAll("label, button, textarea");
    label.textContent = `Answer ${LETTERS[i]}`;
    label.htmlFor = text.id = `answer-${i}`;
    remove.setAttribute("aria-label", `Remove answer ${LETTERS[i]}`);
    remove.hidden = cards.length <= FEWEST;
  });
  page.add.hidden = cards.length >= LETTERS.length;
}

function fill({ question, answers }) {
  page.question.value = question;
  page.answers.replaceChildren();
  answers.forEach((answer) => addAnswer(answer));
  changed();
}

const isEmpty = () => fields().every((field) => !field.value);

function changed() {
  page.clear.textContent = isEmpty() ? "Fill in an example" : "Clear";
  if (page.results.hidden || running) return;
  const old = texts() !== scored;
  page.results.classList.toggle("old", old);
  say(old ? "The texts have changed since they were scored." : verdict);
}

/* The server */

class ServerError extends Error {
  constructor(status, { message, field } = {}) {
    super(message ?? `The server failed with status ${status}.`);
    Object.assign(this, { status, field });
  }
}

async function call(path, body, signal) {
  const token = page.token.value.trim();
  if (/[^ -~]/.test(token)) throw new ServerError(401); // no header can carry it
  const headers = body ? { "Content-Type": "application/json" } : {};
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal };
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(path, options);
    if (response.ok) return response.json();
    if (response.status !== 503 || attempt === ATTEMPTS) {
      const { error } = await response.json().catch(() => ({}));
      throw new ServerError(response.status, error);
    }
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 1, LONGEST_PAUSE);
    say(`The server is busy. Trying again in ${seconds} s …`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

async function score() {
  clearProblem();
  const empty = fields().find((field) => !field.value.trim());
  if (empty) return complain(`${nameOf(empty)} is empty.`, empty);

  running?.abort();
  const run = (running = new AbortController());
  const asked = texts();
  const question = page.question.value;
  const answers = answerFields().map((field) => field.value);
  const ask = (path, body) => call(path, body, run.signal);
  say("Scoring …");
  submit.setAttribute("aria-busy", "true");
  try {
    const [info, result] = await Promise.all([ask("info"), ask("score", { question, answers })]);
    const reasons = await Promise.all(answers.map((answer) => ask("explain", { question, answer })));
    showModel(info);
    showScores(info, result, answers);
    showContributions(reasons, result.scores);
    scored = asked;
    page.results.hidden = false;
    say(verdict); // before the scrolling, which has to know how high it is
    page.scores.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (run.signal.aborted) return; // a newer run goes on
    explainFailure(error);
  } finally {
    run.abort(); // after a failure no other request of this run shall ask again
    if (running === run) {
      running = null;
      submit.removeAttribute("aria-busy");
      changed();
    }
  }
}

/* Messages */

function say(text) {
  if (page.status.textContent !== text) page.status.textContent = text;
}

function complain(message, field) {
  // Beside its field, so that a phone shows both.
  (field ?? page.actions).after(page.problem);
  page.problem.hidden = false;
  page.problem.textContent = message;
  if (!field) return;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "problem");
  field.focus();
}

function clearProblem() {
  page.problem.hidden = true;
  for (const field of page.form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

function explainFailure(error) {
  say("");
  if (error.status === 401) {
    const again = !page.access.hidden && page.token.value;
    page.access.hidden = false;
    return complain(again ? "The server refuses this token." : "Enter the access token, then score.", page.token);
  }
  if (error.status === 503) return complain("The server is still busy. Wait a little, then score again.");
  if (error instanceof ServerError) {
    const field = namedField(error.field);
    return complain(field ? error.message.replace(error.field, nameOf(field)) : error.message, field);
  }
  complain("The server does not answer. See whether it runs, then score again.");
}

function namedField(name) {
  const index = /^answers\[(\d+)\]$/.exec(name)?.[1];
  if (index !== undefined) return answerFields()[index];
  return name === "question" ? page.question : undefined;
}

/* Results */

function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/** A bar from `start` to `end`, both shares of its width; the number beside it is what a screen reader gets. */
function bar(start, end, middle) {
  const element = make("span", middle === undefined ? "bar" : "bar split");
  const percent = (share) => `${100 * share}%`;
  element.style.setProperty("--start", percent(start));
  element.style.setProperty("--length", percent(end - start));
  if (middle !== undefined) element.style.setProperty("--middle", percent(middle));
  element.setAttribute("aria-hidden", "true");
  return element;
}

const format = new Intl.NumberFormat("en", {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  useGrouping: false,
  signDisplay: "exceptZero",
});
const signed = (value) => format.format(value).replace("-", "−");
const percentage = (share) => (share >= 0.9995 ? "over 99.9%" : `${(100 * share).toFixed(1)}%`);
const tokens = (count) => `${count} token${count === 1 ? "" : "s"}`;
const letter = (i) => make("b", "letter", LETTERS[i]);
const number = (text) => make("span", "number", text);

function row(best, ...children) {
  return make("li", best ? "row best" : "row", ...children);
}

function showModel({ model, version, precision, max_tokens, question_tokens }) {
  const reads = `reads ${max_tokens} tokens, up to ${question_tokens} of them from the question`;
  page.model.textContent = [model, `version ${version}`, precision, reads].join(" · ");
}

function showScores({ temperature }, { scores, question_cut, answer_cut }, answers) {
  const order = scores.map((_, i) => i).sort((i, j) => scores[j] - scores[i]);
  const [best, ...others] = order;
  const lowest = scores[order.at(-1)];
  // At least two logits wide, so that a small difference looks small; the worst keeps a stub.
  const width = Math.max(1.1 * (scores[best] - lowest), 2);

  page.scores.replaceChildren(...order.map((i) => {
    const cuts = [[answer_cut[i], "the answer"], [question_cut[i], "the question"]].filter(([count]) => count);
    const unread = cuts.map(([count, text]) => `${tokens(count)} of ${text}`).join(" and ");
    return row(
      i === best,
      letter(i),
      make("span", "excerpt muted", answers[i].trim().slice(0, 200)),
      number(signed(scores[i])),
      bar(0, 1 - (scores[best] - scores[i]) / width),
      ...(unread ? [make("span", "cut small", `Cut: the model did not see ${unread}.`)] : []),
    );
  }));
  page.whole.hidden = [...question_cut, ...answer_cut].some((count) => count);

  const beats = (i) => 1 / (1 + Math.exp((scores[i] - scores[best]) / temperature));
  page.chances.replaceChildren(...others.map((i) => {
    const title = make("span", "", `${LETTERS[best]} beats ${LETTERS[i]}`);
    return row(true, title, make("span"), number(percentage(beats(i))), bar(0, beats(i), 0.5));
  }));

  const [a, b, chance] = [LETTERS[best], LETTERS[others[0]], beats(others[0])];
  const close = `${a} and ${b} are close: ${a} beats ${b} with a probability of ${percentage(chance)}.`;
  const next = others.length > 1 ? `the next, ${b},` : b;
  const clear = `The model prefers ${a}: it beats ${next} with a probability of ${percentage(chance)}.`;
  verdict = chance < CLEAR ? close : clear;
}

function showContributions(reasons, scores) {
  const all = reasons.flatMap(({ contributions }) => Object.values(contributions));
  const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)];
  const place = (value) => (value - low) / (high - low || 1);
  const best = scores.indexOf(Math.max(...scores));
  const { contributions, experimental } = reasons[0];

  page.contributions.replaceChildren(...Object.keys(contributions).map((name) => {
    const title = make("h3", "", name, ...(experimental.includes(name) ? [make("span", "tag", "experimental")] : []));
    const rows = reasons.map((reason, i) => {
      const value = reason.contributions[name];
      const [start, end] = [place(Math.min(0, value)), place(Math.max(0, value))];
      return row(i === best, letter(i), bar(start, end, place(0)), number(signed(value)));
    });
    return make("li", "", title, make("ul", "plain", ...rows));
  }));
  page.experimental.hidden = !experimental.length;
}

/* Start */

page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  score();
});
page.form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  page.form.requestSubmit(submit);
});
page.form.addEventListener("input", () => {
  clearProblem();
  changed();
});
page.answers.addEventListener("click", ({ target }) => {
  if (target.tagName === "BUTTON") removeAnswer(target.closest(".field"));
});
page.add.addEventListener("click", () => {
  const field = addAnswer();
  changed();
  field.focus();
});
page.clear.addEventListener("click", () => {
  clearProblem();
  page.results.hidden = true;
  say(running ? "Scoring …" : "");
  fill(isEmpty() ? EXAMPLE : { question: "", answers: Array(FEWEST).fill("") });
});

fill(EXAMPLE);
call("info").then(showModel, (error) => {
  if (error.status === 401) page.access.hidden = false;
  else page.model.textContent = error instanceof ServerError ? error.message : "The server does not answer.";
});
