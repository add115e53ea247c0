/** Events as Electron's: an object that can be prevented, with what is told in it. */

export interface DoubleEvent {
  defaultPrevented: boolean
  preventDefault(): void
}

/** Makes an event that carries the given properties. */
export function makeEvent<Properties extends object>(properties: Properties): DoubleEvent & Properties {
  const event = {
    defaultPrevented: false,
    preventDefault() {
      event.defaultPrevented = true
    },
    ...properties,
  }
  return event
}
