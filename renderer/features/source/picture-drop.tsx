/** A place that takes a picture: by a click and the file chooser, or by dropping a file on it. */
import { type DragEvent, type ReactNode, useRef, useState } from 'react'
import { cx } from '../../ui/class-names.ts'
import { pictureTypes } from './source-actions.ts'

const hasFiles = (event: DragEvent): boolean => event.dataTransfer.types.includes('Files')

export function PictureDrop({
  label,
  onPicture,
  className,
  children,
}: {
  readonly label: string
  onPicture(file: File): void
  readonly className?: string
  readonly children: ReactNode
}) {
  const input = useRef<HTMLInputElement>(null)
  const [isOver, setOver] = useState(false)
  return (
    <>
      <button
        type="button"
        aria-label={label}
        title={label}
        // The window's own reading of dropped pictures keeps off.
        data-accepts-files
        data-over={isOver}
        onClick={() => input.current?.click()}
        onDragOver={event => {
          if (!hasFiles(event)) return
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={event => {
          if (!hasFiles(event)) return
          event.preventDefault()
          setOver(false)
          const file = event.dataTransfer.files[0]
          if (file) onPicture(file)
        }}
        className={cx(className, isOver && 'shadow-[0_0_0_2px_var(--accent)]')}
      >
        {children}
      </button>
      <input
        ref={input}
        type="file"
        accept={pictureTypes}
        aria-label={label}
        tabIndex={-1}
        className="hidden"
        onChange={event => {
          const file = event.target.files?.[0]
          if (file) onPicture(file)
          // The same file again is a choice as well.
          event.target.value = ''
        }}
      />
    </>
  )
}
