//! Owns the list of the contract's clauses, and why some have no check.

/** Every clause of docs/protocol.md and of the contract that it is built to. */
export const CLAUSES =
  "A1 A2 A3 A4 A5 A5a A6 A7 A8 A9 A9a A10 A10a A11 A11a A11b A11c A11d A11e A12 A13 A14 A15 A16 B1 B2 C1 D1 D2 D2a D2b D3 D4 D5 E1 F1 F2 F3 F4 F5 F6 F7 G1 G2 G3 G4 G5 G6 H1 H2 H3 H4 H5 H6 H7 H8 H9 K1 K2 K3 K4 K5 L1 L2 L3 L4 L5 L6 L7 L8 N1 N2 P1 P2 P3 P4 R1 R2 R3 R4 R5 R6 R7 R8 S1 S1a S2 S3 S4 S5 S5a S6 S7 S8 S9 S9a S10 S11 S12 S13 S14 W1 W2 W3 W4 W5 W6 X1 X2 X3 X4 X5 X6".split(
    " ",
  );

/** Clauses that the server does not have yet. Whoever builds one takes it off this list. */
export const NOT_BUILT = new Set(
  "D2a F1 F2 F3 F4 F5 F6 F7 G1 G2 G3 G4 G5 G6 K1 K2 K3 K4 K5 L1 L2 L3 L4 L5 L6 L7 L8 R8 S12 W1 W2 W3 W4 W5 W6".split(
    " ",
  ),
);

/** Clauses that nobody can observe from outside, with the reason. */
export const UNOBSERVABLE = {
  A12: "what the server writes to its log is read by its own tests",
  C1: "a rule for clients",
  D3: "how writes are grouped cannot be seen",
  S3: "what is stored when an event is seen shows only after a crash: see D1",
};
