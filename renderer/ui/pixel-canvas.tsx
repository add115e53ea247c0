/** A canvas that shows an ImageData, drawn when it changes. */
import { useEffect, useRef } from 'react'

export function PixelCanvas({
  data,
  className,
  label,
}: {
  /** Made only when the canvas is there; undefined draws nothing. */
  readonly data: () => ImageData | undefined
  readonly className?: string
  /** Its text alternative; decorative without. */
  readonly label?: string
}) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    const image = data()
    const element = canvas.current
    if (!element || !image) return
    element.width = image.width
    element.height = image.height
    element.getContext('2d')?.putImageData(image, 0, 0)
  }, [data])
  return (
    <canvas
      ref={canvas}
      className={className}
      {...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': true })}
    />
  )
}
