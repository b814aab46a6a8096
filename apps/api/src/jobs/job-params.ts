import { Type } from 'typebox';

/** Any text is taken: what is not an id of ours is simply not found. */
export const JobParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }, { additionalProperties: false });
