/**
 * What can keep a local server from starting. Every one is something the person at the keyboard can mend, so the
 * message is one sentence saying what is wrong and `hint` one saying what to do.
 *
 * | code              | meaning                                                               |
 * |-------------------|-----------------------------------------------------------------------|
 * | no_binaries       | the server's programs are not installed for this machine              |
 * | folder_closed     | the server's user cannot enter the programs' or the data folder       |
 * | folder_unusable   | the data folder holds something that is not this server's data        |
 * | no_space          | the disk is full                                                      |
 * | port_in_use       | another process listens on the port                                   |
 * | already_running   | an earlier server of the same data folder is still running            |
 * | not_ready         | a process did not come up; the message ends in its last log lines     |
 * | start_failed      | anything else; the message ends in the server's own last words        |
 */
export type LocalStackErrorCode =
  | 'no_binaries'
  | 'folder_closed'
  | 'folder_unusable'
  | 'no_space'
  | 'port_in_use'
  | 'already_running'
  | 'not_ready'
  | 'start_failed';

export class LocalStackError extends Error {
  constructor(
    readonly code: LocalStackErrorCode,
    message: string,
    readonly hint: string,
    /** The process in the way, when it is known. */
    readonly pid?: number,
  ) {
    super(message);
    this.name = 'LocalStackError';
  }
}
