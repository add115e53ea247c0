/**
 * Weights by name and expected shape. A network asks for what its configuration needs; what is missing, what has
 * another shape and what nobody asked for are collected, and told in one message. The path of a weight is the name
 * that captures, exports and errors use (architecture D6; the cursor is candle's `VarBuilder`).
 */
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError, invariant } from '../contract/errors.ts'
import { elementCount, formatShape, sameShape, type Shape } from '../tensor/shape.ts'
import { printable } from './printable.ts'
import { readSafetensorsHeader, type SafetensorsEntry } from './safetensors.ts'

export { countNonFinite, readAsFloat32, streamFloat32, type Float32Piece } from './decode.ts'

export type WeightDType = 'F32' | 'F16' | 'BF16'

/** Where a weight lies. */
export interface WeightEntry {
  /** The full name that was asked for. */
  readonly path: string
  readonly dtype: WeightDType
  /** The shape that was asked for (the file may store another one with the same elements, see `TensorOptions`). */
  readonly shape: Shape
  readonly source: ByteSource
  /** From the start of the source; not necessarily aligned. */
  readonly byteOffset: number
  readonly byteLength: number
}

/** Other forms in which a weight may be stored. */
export interface TensorOptions {
  /** Other names, relative to the cursor, in order of preference: old diffusers wrote `query` for `to_q`. */
  readonly names?: readonly string[]
  /** Other shapes with the same elements in the same order: a 1×1 convolution [O, I, 1, 1] is a matrix [O, I]. */
  readonly shapes?: readonly Shape[]
}

interface StoredTensor extends SafetensorsEntry {
  readonly source: ByteSource
}

interface Misfit {
  readonly path: string
  readonly text: string
}

/** What all cursors over the same files share. */
interface Ledger {
  readonly name: string
  readonly stored: ReadonlyMap<string, StoredTensor>
  readonly read: Set<string>
  readonly missing: Set<string>
  readonly misfits: Map<string, Misfit>
}

const listed = 12

export class WeightReader {
  /** The cursor's place: '' at the root, else for example `decoder.mid_block.attentions.0`. */
  readonly path: string
  private readonly ledger: Ledger

  private constructor(ledger: Ledger, path: string) {
    this.ledger = ledger
    this.path = path
  }

  /**
   * Opens one file, or the shards of one model.
   * @throws AttuneError `bad-file` for a damaged file, `bad-model` when two shards hold the same name.
   */
  static async open(sources: readonly ByteSource[]): Promise<WeightReader> {
    invariant(sources.length > 0, 'WeightReader.open: no source')
    const stored = new Map<string, StoredTensor>()
    for (const source of sources) {
      const header = await readSafetensorsHeader(source)
      for (const [name, entry] of header.tensors) {
        const other = stored.get(name)
        if (other) {
          throw new AttuneError(
            'bad-model',
            `${printable(name)} is in ${other.source.name} and again in ${source.name}.`,
            'Keep only the shards that the index lists: two versions of this model seem to be mixed.',
          )
        }
        stored.set(name, { ...entry, source })
      }
    }
    const name = sources.map(source => source.name).join(', ')
    return new WeightReader({ name, stored, read: new Set(), missing: new Set(), misfits: new Map() }, '')
  }

  /** A cursor one or more segments further down: `at('down_blocks').at(0)`, or `at('down_blocks.0')`. */
  at(segment: string | number): WeightReader {
    return new WeightReader(this.ledger, this.full(String(segment)))
  }

  /** Whether the files hold this name (relative to the cursor). Does not count as reading it. */
  has(name: string): boolean {
    return this.ledger.stored.has(this.full(name))
  }

  /** The stored shape of a name, for the few configurations that must be read off the weights. */
  shapeOf(name: string): Shape | undefined {
    return this.ledger.stored.get(this.full(name))?.shape
  }

  /** The names below the cursor, relative to it, in the files' order. */
  names(): string[] {
    const names: string[] = []
    for (const name of this.ledger.stored.keys()) {
      if (this.covers(name)) names.push(this.path ? name.slice(this.path.length + 1) : name)
    }
    return names
  }

  /**
   * Finds a weight and marks it as read. A miss or a misfit is noted for `finish`, and an entry is returned that
   * refuses to be read, so that a network can be walked to its end and report everything that is wrong at once.
   * @param shape the expected shape, in PyTorch's order of axes.
   */
  tensor(name: string, shape: Shape, options: TensorOptions = {}): WeightEntry {
    const path = this.full(name)
    const { stored, read, missing, misfits } = this.ledger
    const storedPath = [path, ...(options.names ?? []).map(other => this.full(other))].find(each =>
      stored.has(each),
    )
    const found = storedPath === undefined ? undefined : stored.get(storedPath)
    if (!found || storedPath === undefined) {
      missing.add(path)
      return absent(path, shape)
    }
    read.add(storedPath)
    const allowed = [shape, ...(options.shapes ?? [])]
    for (const each of allowed) {
      invariant(elementCount(each) === elementCount(shape), `${path}: alternative shape ${formatShape(each)}`)
    }
    if (!allowed.some(each => sameShape(each, found.shape))) {
      const wanted = allowed.map(formatShape).join(' or ')
      misfits.set(path, {
        path,
        text: `${printable(storedPath)} is ${formatShape(found.shape)}, wanted ${wanted}`,
      })
      return absent(path, shape)
    }
    if (found.dtype !== 'F32' && found.dtype !== 'F16' && found.dtype !== 'BF16') {
      const text = `${printable(storedPath)} has the dtype ${found.dtype}, which is not supported yet`
      misfits.set(path, { path, text })
      return absent(path, shape)
    }
    const { dtype, source, byteOffset, byteLength } = found
    return { path, dtype, shape, source, byteOffset, byteLength }
  }

  /** As `tensor`, but undefined when the files do not hold it: biases and other parts that a model may lack. */
  optionalTensor(name: string, shape: Shape, options: TensorOptions = {}): WeightEntry | undefined {
    const present = [name, ...(options.names ?? [])].some(each => this.has(each))
    return present ? this.tensor(name, shape, options) : undefined
  }

  /**
   * To be called when a network has asked for all its weights. Looks at what lies below the cursor.
   * @param options.allowUnread full names that match one of these need not have been read, for example
   *   `/\.position_ids$/`.
   * @throws AttuneError `bad-model`: one message with all missing, misfitting and unread names (the first 12 each).
   */
  finish(options: { readonly allowUnread?: readonly RegExp[] } = {}): void {
    const { stored, read, missing, misfits, name } = this.ledger
    const allowed = options.allowUnread ?? []
    const unread = [...stored.keys()].filter(
      each =>
        this.covers(each) && !read.has(each) && !allowed.some(pattern => new RegExp(pattern).test(each)),
    )
    const missed = [...missing].filter(each => this.covers(each))
    const misfitting = [...misfits.values()].filter(({ path }) => this.covers(path))
    const parts = [
      list(
        'missing',
        missed.map(each => printable(each)),
      ),
      list(
        'of another shape or type',
        misfitting.map(({ text }) => text),
      ),
      list(
        'not part of this network',
        unread.map(each => printable(each)),
      ),
    ].filter(part => part !== '')
    if (parts.length === 0) return
    throw new AttuneError(
      'bad-model',
      `The weights in ${name} do not fit the configuration.\n${parts.join('\n')}`,
      'Check that the folder holds one complete model whose config.json belongs to these weights; download it again if in doubt.',
    )
  }

  private full(name: string): string {
    if (name === '') return this.path
    return this.path === '' ? name : `${this.path}.${name}`
  }

  private covers(path: string): boolean {
    return this.path === '' || path.startsWith(`${this.path}.`)
  }
}

function list(title: string, items: readonly string[]): string {
  if (items.length === 0) return ''
  const rest = items.length > listed ? `; and ${items.length - listed} more` : ''
  return `${items.length} ${title}: ${items.slice(0, listed).join('; ')}${rest}`
}

/** Stands for a weight that is not there until `finish` tells so. */
function absent(path: string, shape: Shape): WeightEntry {
  const byteLength = elementCount(shape) * 4
  const source: ByteSource = {
    name: path,
    byteLength,
    read: () =>
      Promise.reject(
        new AttuneError(
          'bad-model',
          `${printable(path)} cannot be read: it is missing or does not fit.`,
          'This is a fault in Attune: the model should have been refused earlier. Please report it.',
        ),
      ),
  }
  return { path, dtype: 'F32', shape, source, byteOffset: 0, byteLength }
}
