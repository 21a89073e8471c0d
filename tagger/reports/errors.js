"use strict";
// Filters the sentences by kind and labels of their errors, and counts them. Without scripts, all are visible.
{
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const articles = [...document.querySelectorAll("article")].map((node) => ({
    node,
    task: node.dataset.task,
    sentence: node.dataset.sentence,
    text: node.dataset.text.toLowerCase(),
    errors: [...node.querySelectorAll("[data-error]")].map((chip) => {
      const [kind, gold, predicted] = chip.dataset.error.split(".");
      return { chip, kind, gold, predicted };
    }),
  }));
  const total = articles.reduce((sum, article) => sum + article.errors.length, 0);
  // A sentence with errors in two tasks has two articles.
  const wrong = new Set(articles.map((article) => article.sentence)).size;

  const update = () => {
    const chosen = new FormData(form);
    const kinds = new Set(chosen.getAll("kind"));
    const [task, gold, predicted] = ["task", "gold", "predicted"].map((name) => chosen.get(name) || "");
    const text = chosen.get("text").trim().toLowerCase();
    const counts = new Map();
    const sentences = new Set();
    let errors = 0;
    for (const article of articles) {
      const isCandidate = (!task || article.task === task) && article.text.includes(text);
      let matches = 0;
      for (const error of article.errors) {
        const fits =
          isCandidate && (!gold || error.gold === gold) && (!predicted || error.predicted === predicted);
        if (fits) counts.set(error.kind, (counts.get(error.kind) || 0) + 1);
        const isMatch = fits && kinds.has(error.kind);
        error.chip.classList.toggle("off", !isMatch);
        matches += isMatch;
      }
      article.node.hidden = matches === 0;
      if (matches) sentences.add(article.sentence);
      errors += matches;
    }
    for (const count of form.querySelectorAll("[data-kind]")) {
      count.textContent = (counts.get(count.dataset.kind) || 0).toLocaleString("en");
    }
    const [n, all] = [errors, total].map((number) => number.toLocaleString("en"));
    shown.textContent =
      `${sentences.size.toLocaleString("en")} of ${wrong.toLocaleString("en")} sentences, ` +
      `${n} of ${all} errors`;
  };

  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    if (link.dataset.pair) {
      form.reset();
      [form.elements.gold.value, form.elements.predicted.value] = link.dataset.pair.split(".");
      update();
    } else if (document.getElementById(link.hash.slice(1))?.hidden) {
      form.reset();
      update();
    }
  });
  form.hidden = false;
  update();
}
