/** A value that the user gave: neither left out nor "auto". */
export const given = <T>(value: T | 'auto' | null | undefined): Exclude<T, 'auto'> | undefined =>
  value === undefined || value === null || value === 'auto' ? undefined : (value as Exclude<T, 'auto'>);
