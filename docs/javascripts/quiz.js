// Answers one question at a time. Without this script, the answers are read in <details>.
for (const form of document.querySelectorAll(".quiz form")) {
  const details = form.querySelector("details");
  const said = details.querySelectorAll("li");
  const status = form.querySelector("[role=status]");
  const button = form.querySelector("button");

  details.hidden = true;
  button.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = new FormData(form).get("answer");
    if (chosen === null) {
      form.dataset.verdict = "";
      status.textContent = "Choose an answer first.";
      return;
    }
    const { correct } = said[chosen].dataset;
    form.dataset.verdict = correct;
    status.textContent = (correct === "true" ? "Right. " : "Not this one. ") + said[chosen].querySelector("span").textContent;
  });
  form.addEventListener("change", () => {
    form.dataset.verdict = "";
    status.textContent = "";
  });
}
