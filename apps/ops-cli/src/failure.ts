/** Why a command could not be carried out: what scripts branch on is its exit code. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  not_found: 3,
  unreachable: 4,
  refused: 5,
} as const;
export type FailureKind = Exclude<keyof typeof exitCodes, 'ok'>;

export const exitMeanings: Record<keyof typeof exitCodes, string> = {
  ok: 'done',
  failed: 'failed, or audit verify, doctor or status found something wrong',
  usage: 'the command was not understood, or a value in it is not valid',
  not_found: 'there is no such thing, or this key cannot see it',
  unreachable: 'the server does not answer, or says it cannot now',
  refused: 'the server refused: key, permission or state',
};

export interface FieldProblem {
  pointer: string;
  message: string;
}

/** Ends a command with one sentence, and where it is known what to do. Its stack is never shown. */
export class Failure extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly more: { hint?: string; code?: string; errors?: FieldProblem[] } = {},
  ) {
    super(message);
    this.name = 'Failure';
  }
}
