/** Masks of words and regions: the same as every other mask of the window. */
export * from '../../state/masks.ts'
