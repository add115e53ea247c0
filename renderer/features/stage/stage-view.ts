/**
 * The stage without React: where the picture lies (zoom, pan), pointers, pinches and wheels. Listeners draw; nothing
 * here renders a component, so that a moved pointer costs one frame of a canvas.
 */
export interface StagePoint {
  /** In pixels of the picture, fractions kept; may lie outside. */
  readonly x: number
  readonly y: number
  readonly event: PointerEvent | KeyboardEvent | undefined
}

export type StageCommand = 'zoomIn' | 'zoomOut' | 'fit' | 'actual'

/** What a tool does with drags; the view pans without one. */
export interface StageTool {
  down(point: StagePoint): void
  move(point: StagePoint): void
  up(point: StagePoint): void
}

interface Elements {
  readonly viewport: HTMLElement
  /** Lies at the picture's own size and is moved and scaled. */
  readonly plane: HTMLElement
}

const zoomRange = { least: 0.1, most: 32 } as const
const zoomStep = 1.25
/** Air around a fitted picture, and what the bar of tools takes below it. */
const margin = 24
const barHeight = 48
/** A fitted picture may grow so much: larger ones are seen pixel by pixel. */
const mostFitted = 3

export class StageView {
  tool: StageTool | undefined
  #elements: Elements | undefined
  #size = { width: 1, height: 1 }
  #scale = 1
  #x = 0
  #y = 0
  #isFitted = true
  readonly #pointers = new Map<number, PointerEvent>()
  #isTooling = false
  /** Kept free above a fitted picture. */
  #above = 0
  #frame = 0
  readonly #probeListeners = new Set<(point: StagePoint | undefined) => void>()
  readonly #zoomListeners = new Set<(scale: number) => void>()

  /** @returns takes it off again */
  attach(elements: Elements): () => void {
    this.#elements = elements
    const { viewport } = elements
    const observer = new ResizeObserver(() => (this.#isFitted ? this.command('fit') : this.#apply()))
    observer.observe(viewport)
    elements.plane.style.width = `${this.#size.width}px`
    elements.plane.style.height = `${this.#size.height}px`
    const off = new AbortController()
    const options = { signal: off.signal }
    viewport.addEventListener('pointerdown', this.#down, options)
    viewport.addEventListener('pointermove', this.#move, options)
    viewport.addEventListener('pointerup', this.#up, options)
    viewport.addEventListener('pointercancel', this.#up, options)
    viewport.addEventListener('pointerleave', () => this.#probe(undefined), options)
    viewport.addEventListener('wheel', this.#wheel, { ...options, passive: false })
    viewport.addEventListener('dblclick', () => this.command(this.#isFitted ? 'actual' : 'fit'), options)
    return () => {
      off.abort()
      observer.disconnect()
      cancelAnimationFrame(this.#frame)
      this.#elements = undefined
    }
  }

  get size(): { readonly width: number; readonly height: number } {
    return this.#size
  }

  get scale(): number {
    return this.#scale
  }

  /** The picture's size in its own pixels; another shape is fitted anew. */
  setSize(width: number, height: number): void {
    if (width === this.#size.width && height === this.#size.height) return
    this.#size = { width, height }
    if (this.#elements) {
      this.#elements.plane.style.width = `${width}px`
      this.#elements.plane.style.height = `${height}px`
    }
    this.command('fit')
  }

  /** Keeps pixels free above a fitted picture, for words that must not cover it. */
  keepFree(above: number): void {
    this.#above = above
    if (this.#isFitted) this.command('fit')
  }

  /** Where the pointer is over the picture, once a frame; undefined when it left. */
  onProbe(listener: (point: StagePoint | undefined) => void): () => void {
    this.#probeListeners.add(listener)
    return () => this.#probeListeners.delete(listener)
  }

  onZoom(listener: (scale: number) => void): () => void {
    this.#zoomListeners.add(listener)
    return () => this.#zoomListeners.delete(listener)
  }

  command(command: StageCommand): void {
    const box = this.#elements?.viewport.getBoundingClientRect()
    if (!box || box.width === 0) return
    if (command === 'zoomIn') return this.zoomAt(zoomStep, box.width / 2, box.height / 2)
    if (command === 'zoomOut') return this.zoomAt(1 / zoomStep, box.width / 2, box.height / 2)
    const { width, height } = this.#size
    const fitted = Math.min(
      (box.width - 2 * margin) / width,
      (box.height - 2 * margin - barHeight - this.#above) / height,
      mostFitted,
    )
    this.#scale = command === 'fit' ? Math.max(zoomRange.least, fitted) : 1
    this.#isFitted = command === 'fit'
    this.#x = (box.width - width * this.#scale) / 2
    this.#y = (box.height + (command === 'fit' ? this.#above - barHeight : 0) - height * this.#scale) / 2
    this.#apply()
  }

  /** Keeps the place under (x, y) of the viewport where it is. */
  zoomAt(factor: number, x: number, y: number): void {
    const next = Math.min(zoomRange.most, Math.max(zoomRange.least, this.#scale * factor))
    const ratio = next / this.#scale
    this.#x = x - (x - this.#x) * ratio
    this.#y = y - (y - this.#y) * ratio
    this.#scale = next
    this.#isFitted = false
    this.#apply()
  }

  pan(dx: number, dy: number): void {
    this.#x += dx
    this.#y += dy
    this.#isFitted = false
    this.#apply()
  }

  pointOf(clientX: number, clientY: number, event?: PointerEvent): StagePoint {
    const box = this.#elements?.viewport.getBoundingClientRect()
    return {
      x: (clientX - (box?.left ?? 0) - this.#x) / this.#scale,
      y: (clientY - (box?.top ?? 0) - this.#y) / this.#scale,
      event,
    }
  }

  /** Where a place of the picture is in the viewport. */
  clientOf({ x, y }: { readonly x: number; readonly y: number }): { x: number; y: number } {
    return { x: this.#x + x * this.#scale, y: this.#y + y * this.#scale }
  }

  #apply(): void {
    const plane = this.#elements?.plane
    if (!plane) return
    plane.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`
    // Whoever looks this closely wants to see pixels.
    plane.dataset['close'] = String(this.#scale >= 6)
    plane.style.setProperty('--unscale', String(1 / this.#scale))
    for (const listener of this.#zoomListeners) listener(this.#scale)
  }

  #probe(point: StagePoint | undefined): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = requestAnimationFrame(() => {
      for (const listener of this.#probeListeners) listener(point)
    })
  }

  #down = (event: PointerEvent): void => {
    const { viewport } = this.#elements ?? {}
    if (
      !viewport ||
      (event.target instanceof Element && event.target.closest('button, [role=slider], input'))
    )
      return
    viewport.setPointerCapture(event.pointerId)
    this.#pointers.set(event.pointerId, event)
    this.#isTooling = this.tool !== undefined && this.#pointers.size === 1 && event.button === 0
    if (this.#isTooling) this.tool?.down(this.pointOf(event.clientX, event.clientY, event))
  }

  #move = (event: PointerEvent): void => {
    const before = this.#pointers.get(event.pointerId)
    const point = this.pointOf(event.clientX, event.clientY, event)
    if (!before) {
      this.#probe(point)
      return
    }
    if (this.#isTooling) this.tool?.move(point)
    else if (this.#pointers.size === 2) this.#pinch(event, before)
    else this.pan(event.clientX - before.clientX, event.clientY - before.clientY)
    this.#pointers.set(event.pointerId, event)
  }

  #pinch(event: PointerEvent, before: PointerEvent): void {
    const other = [...this.#pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId)
    const box = this.#elements?.viewport.getBoundingClientRect()
    if (!other || !box) return
    const distance = (a: PointerEvent) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY)
    const [x, y] = [(event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2]
    this.zoomAt(distance(event) / Math.max(1, distance(before)), x - box.left, y - box.top)
  }

  #up = (event: PointerEvent): void => {
    this.#pointers.delete(event.pointerId)
    if (this.#isTooling) this.tool?.up(this.pointOf(event.clientX, event.clientY, event))
    this.#isTooling = false
  }

  #wheel = (event: WheelEvent): void => {
    event.preventDefault()
    const box = this.#elements?.viewport.getBoundingClientRect()
    if (!box) return
    // A wheel turns in steps, a touchpad pans; pinches of a touchpad come with Ctrl.
    const isWheel = event.deltaX === 0 && Math.abs(event.deltaY) >= 40
    if (event.ctrlKey || event.metaKey || isWheel) {
      const speed = event.ctrlKey && !isWheel ? 0.01 : 0.0016
      this.zoomAt(Math.exp(-event.deltaY * speed), event.clientX - box.left, event.clientY - box.top)
    } else this.pan(-event.deltaX, -event.deltaY)
  }
}

/** The one stage of the window. */
export const stageView = new StageView()

export function stageCommand(command: StageCommand): void {
  stageView.command(command)
}
