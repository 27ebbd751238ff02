"use strict";
// Buttons that copy the command beside them.
document.querySelectorAll("button.copy").forEach((button) => button.addEventListener("click", () => {
  const code = button.nextElementSibling, chosen = window.getSelection();
  chosen.selectAllChildren(code);
  if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(() => { button.textContent = "copied"; }, () => {});
}));
