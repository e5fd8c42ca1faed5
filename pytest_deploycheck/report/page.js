// Without this script the page is whole; with it checks can be filtered, and all are open when it is printed.
"use strict";
const checks = [...document.querySelectorAll("details.check")];
const tools = document.querySelector(".tools");

function show(which) {
  for (const button of tools.querySelectorAll("[data-show]")) {
    button.setAttribute("aria-pressed", String(button.dataset.show === which));
  }
  for (const check of checks) check.hidden = which === "bad" && check.classList.contains("good");
}

function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) show("all");
  if (target.matches("details.check")) target.open = true;
  target.scrollIntoView();
}

tools.hidden = false;
tools.addEventListener("click", (event) => {
  const { show: which, open } = event.target.dataset;
  if (which) show(which);
  if (open) for (const check of checks) check.open = open === "true";
});
addEventListener("hashchange", reveal);
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const check of closed) check.open = true;
});
addEventListener("afterprint", () => { for (const check of closed) check.open = false; });
if (location.hash) reveal();
