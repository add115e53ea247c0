/**
 * The protocol buffer wire format, as far as ONNX needs it: varints, 32-bit floats and length-delimited fields.
 * Source: protobuf.dev "Encoding".
 */

const encoder = new TextEncoder()

const wire = {
  varint: 0,
  bytes: 2,
  fixed32: 5,
} as const

/** Writes one message. Fields may come in any order; repeated fields are written by repeating the call. */
export class ProtoWriter {
  /** Finished pieces; large ones are kept as they are, so that raw weights are copied once only, by `finish`. */
  private readonly pieces: Uint8Array[] = []
  private length = 0
  private pending: number[] = []

  /** int32, int64, bool and enum fields. Negative numbers take ten bytes, as the format wants. */
  integer(field: number, value: number | bigint): this {
    this.tag(field, wire.varint)
    this.varint(value)
    return this
  }

  float(field: number, value: number): this {
    this.tag(field, wire.fixed32)
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setFloat32(0, value, true)
    this.pending.push(...bytes)
    return this
  }

  string(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value))
  }

  bytes(field: number, value: Uint8Array): this {
    this.tag(field, wire.bytes)
    this.varint(value.length)
    this.append(value)
    return this
  }

  /** An embedded message. It must be complete: it is not looked at again. */
  message(field: number, value: ProtoWriter): this {
    value.flush()
    this.tag(field, wire.bytes)
    this.varint(value.length)
    this.flush()
    this.pieces.push(...value.pieces)
    this.length += value.length
    return this
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.flush()
    const result = new Uint8Array(this.length)
    let position = 0
    for (const piece of this.pieces) {
      result.set(piece, position)
      position += piece.length
    }
    return result
  }

  private tag(field: number, wireType: number): void {
    this.varint((field << 3) | wireType)
  }

  private varint(value: number | bigint): void {
    if (typeof value === 'number' && value >= 0 && value < 2 ** 31) {
      let rest = value
      while (rest > 127) {
        this.pending.push((rest & 127) | 128)
        rest >>>= 7
      }
      this.pending.push(rest)
      return
    }
    let rest = BigInt.asUintN(64, BigInt(value))
    while (rest > 127n) {
      this.pending.push(Number(rest & 127n) | 128)
      rest >>= 7n
    }
    this.pending.push(Number(rest))
  }

  private append(bytes: Uint8Array): void {
    if (bytes.length < 64) {
      this.pending.push(...bytes)
      return
    }
    this.flush()
    this.pieces.push(bytes)
    this.length += bytes.length
  }

  private flush(): void {
    if (this.pending.length === 0) return
    this.pieces.push(Uint8Array.from(this.pending))
    this.length += this.pending.length
    this.pending = []
  }
}
