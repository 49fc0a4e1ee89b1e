//! Owns a page that is as an application with React has it: StrictMode, the hook, a handler in an effect.
//! Bundled and opened by tests/browser/library.test.mjs; `?server=…&player=…` says where to and as whom.

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useRoom, useRoomEvent } from "@innkeeper/client/react";

type State = { count?: number };
type Chat = { text: string };

const query = new URLSearchParams(location.search);
const server = query.get("server") ?? location.origin;
const onUnmount = query.get("keep") ? "close" : "leave";

function Players({ game, player }: { game: string; player: string }) {
  // The same seat from a second component: one connection for both.
  const { players } = useRoom(server, { game, player, onUnmount });
  return <p id="players">{[...players].map(([who, status]) => `${who}:${status}`).join(" ")}</p>;
}

function Table({ game, player }: { game: string; player: string }) {
  const { room, status, reason, state } = useRoom<State, Chat>(server, { game, player, onUnmount });
  const [lines, setLines] = useState<string[]>([]);
  useRoomEvent(room, "message", ({ from, data }) => setLines((before) => [...before, `${from}: ${data.text}`]));
  return (
    <>
      <p id="status" data-code={reason?.code}>
        {status}
      </p>
      <p id="count">{state?.count ?? "none"}</p>
      <ol id="lines">
        {lines.map((line, n) => (
          <li key={n}>{line}</li>
        ))}
      </ol>
      <button id="say" onClick={() => void room?.send({ text: `line ${lines.length}` })}>
        Say
      </button>
      <button id="add" onClick={() => void room?.patch({ count: (state?.count ?? 0) + 1 })}>
        Add
      </button>
      <Players game={game} player={player} />
    </>
  );
}

function App() {
  const [game, setGame] = useState<string | undefined>("react-one");
  return (
    <>
      <button id="toggle" onClick={() => setGame((before) => (before ? undefined : "react-one"))}>
        In or out
      </button>
      <button id="other" onClick={() => setGame("react-two")}>
        Another room
      </button>
      {game && <Table key={game} game={game} player={query.get("player") ?? "alice"} />}
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
