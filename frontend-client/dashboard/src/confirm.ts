//! Owns the question before what cannot be taken back.
//! Called by room.ts.

import { $, say } from "../../shared/dom";

/** Resolves to whether the person agreed; Escape and Cancel are no. */
export function confirmed(title: string, text: string, yes: string): Promise<boolean> {
  const dialog = $<HTMLDialogElement>("confirm");
  say($("confirm-title"), title);
  say($("confirm-text"), text);
  say($("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
