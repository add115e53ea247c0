/** Styles and lists as a file: out and in. */
import { Download, Upload } from 'lucide-react'
import { useRef } from 'react'
import { tell } from '../../state/ui.ts'
import { strings, useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { exportKept, importKept } from './storage.ts'

/** Gives a file to the person, in every shell. */
export function saveFile(name: string, content: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  // The download has begun by then; without this the blob stays for good.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

export function ExportButton() {
  const { presets } = useStrings()
  return (
    <Button
      onClick={() => saveFile('attune-styles.json', new Blob([exportKept()], { type: 'application/json' }))}
    >
      <Download className="size-4" aria-hidden />
      {presets.exportFile}
    </Button>
  )
}

const largestFile = 16 << 20

export function ImportButton() {
  const { presets } = useStrings()
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input
        ref={input}
        type="file"
        accept="application/json,.json"
        aria-label={presets.importFile}
        tabIndex={-1}
        className="hidden"
        onChange={event => {
          const file = event.target.files?.[0]
          event.target.value = ''
          if (file) void take(file)
        }}
      />
      <Button onClick={() => input.current?.click()}>
        <Upload className="size-4" aria-hidden />
        {presets.importFile}
      </Button>
    </>
  )
}

async function take(file: File): Promise<void> {
  const { presets } = strings()
  const came = file.size > largestFile ? undefined : await importKept(await file.text())
  // That they are not kept was said.
  if (came && !came.isKept) return
  tell(
    came
      ? { tone: 'good', text: presets.imported(came.presets, came.lists) }
      : { tone: 'problem', text: presets.notImported, detail: presets.notImportedHint },
  )
}
