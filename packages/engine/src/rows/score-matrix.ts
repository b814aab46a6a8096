/** Scores of both channels of a linear W [out, in]; the larger, the more worth training. Not normalised; f32, so that stored scores select the same. */
export interface ChannelScores {
  /** Of the output rows, [out]. */
  readonly out: Float32Array;
  /** Of the input columns, [in]. */
  readonly in: Float32Array;
}

/** By name of the linear, in the order of the model's linears. */
export type ScoreMatrix = ReadonlyMap<string, ChannelScores>;
