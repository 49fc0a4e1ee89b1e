//! Owns the second player: side by side where there is room, in a tab of its own on a phone.
//! Called by main.ts.

import { $, h, say } from "../../shared/dom";
import { link } from "./address";
import { randomName } from "./names";

const WIDE = "(min-width: 760px)";

export class Beside {
  #room = "";

  constructor() {
    $("second").addEventListener("click", () => {
      if (document.body.classList.contains("split")) this.close();
      else this.#open();
    });
  }

  enter(room: string): void {
    this.#room = room;
    // A page within a page within a page helps nobody.
    $("second").hidden = window.parent !== window;
  }

  close(): void {
    document.body.classList.remove("split");
    $("beside").hidden = true;
    const frame = $("beside").querySelector("iframe");
    // It leaves its seats rather than vanish from them; the frame goes when that is said.
    frame?.contentDocument?.getElementById("leave")?.click();
    setTimeout(() => frame?.remove(), 500);
    $("beside").firstElementChild?.remove();
    say($("second"), "Second player");
  }

  #open(): void {
    const player = randomName(),
      address = link(this.#room, player);
    // Without an opener the tab has a storage of its own, and so a seat of its own.
    if (!matchMedia(WIDE).matches) {
      window.open(address, "_blank", "noopener");
      return;
    }
    const shut = h(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: () => {
          this.close();
          $("second").focus();
        },
      },
      "Close",
    );
    $("beside").replaceChildren(
      h("div", { class: "label" }, h("span", null, `A second player, ${player}, with a connection of its own`), shut),
      h("iframe", { src: address, title: `The room as ${player} sees it` }),
    );
    $("beside").hidden = false;
    document.body.classList.add("split");
    say($("second"), "Close the second");
  }
}
