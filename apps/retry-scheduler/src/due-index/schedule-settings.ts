/** Of all connections of the due index. */
export const scheduleSettings = {
  synchronous_commit: 'off',
  // A plan made while the index was empty would read it whole until it is first analysed.
  enable_seqscan: 'off',
  // Nor is all that is due to be read and sorted for the few of it that come first in the index.
  enable_bitmapscan: 'off',
  // A release waits for history (5 s at most) and for the log (10 s) before it commits.
  idle_in_transaction_session_timeout: '30s',
};
