//! Owns the question before what cannot be taken back.
//! Called by room.ts.

import { $, h, say } from "../../shared/dom";

/** Resolves to whether the person agreed; Escape and Cancel are no. */
export const confirmed = async (title: string, text: string, yes: string): Promise<boolean> =>
  (await ask(title, text, yes)) !== undefined;

/** As `confirmed`, with a choice to be made: resolves to the value of what was chosen, or `undefined` for no. */
export function chosen(
  title: string,
  text: string,
  yes: string,
  asks: string,
  choices: readonly (readonly [value: string, words: string])[],
): Promise<string | undefined> {
  say($("confirm-asks"), asks);
  $("confirm-choice").replaceChildren(...choices.map(([value, words]) => h("option", { value }, words)));
  return ask(title, text, yes, true);
}

function ask(title: string, text: string, yes: string, hasChoice = false): Promise<string | undefined> {
  const dialog = $<HTMLDialogElement>("confirm");
  say($("confirm-title"), title);
  say($("confirm-text"), text);
  say($("confirm-yes"), yes);
  $("confirm-how").hidden = !hasChoice;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "yes" ? $<HTMLSelectElement>("confirm-choice").value : undefined),
      { once: true },
    ),
  );
}
