/** Settings that are folders, and what belongs to them. */
import { FolderOpen, Plus, X } from 'lucide-react'
import { type FormEvent, useEffect, useState } from 'react'
import type { HostResult } from '../../../model/contract/host-api.ts'
import { callHost } from '../../host/client.ts'
import { changeSettings, useSettings } from '../../state/settings.ts'
import { reportError, tell } from '../../state/ui.ts'
import { strings, useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { ExportButton, ImportButton } from '../presets/transfer.tsx'
import { useKept } from '../presets/storage.ts'

/** `/a`, `C:\a`, `\\server\a`, `~/a`: what a host can find without knowing where it was started. */
export function isWholePath(path: string): boolean {
  return /^(\/|~[\\/]|[A-Za-z]:[\\/]|\\\\)/.test(path)
}

function refused(path: string): boolean {
  if (isWholePath(path)) return false
  tell({ tone: 'info', text: strings().settings.badPath })
  return true
}

export function useAppInfo(): HostResult<'app.info'> | undefined {
  const [info, setInfo] = useState<HostResult<'app.info'>>()
  const outputFolder = useSettings(({ values }) => values.outputFolder)
  useEffect(() => {
    callHost('app.info').then(setInfo, reportError)
  }, [outputFolder])
  return info
}

export function OpenFolder({
  which,
  label,
}: {
  readonly which: 'pictures' | 'logs' | 'models'
  readonly label: string
}) {
  return (
    <Button onClick={() => void callHost('shell.openFolder', { which }).catch(reportError)}>
      <FolderOpen className="size-4" aria-hidden />
      {label}
    </Button>
  )
}

export function OutputFolder() {
  const { settings: s } = useStrings()
  const folder = useSettings(({ values }) => values.outputFolder)
  const info = useAppInfo()
  const [typed, setTyped] = useState<string>()
  const commit = () => {
    const path = typed?.trim()
    setTyped(undefined)
    if (path === undefined || path === (folder ?? '')) return
    if (path !== '' && refused(path)) return
    void changeSettings({ outputFolder: path === '' ? null : path })
  }
  return (
    <div className="flex gap-2">
      <input
        aria-label={s.outputFolder}
        value={typed ?? folder ?? ''}
        placeholder={info?.outputFolder}
        maxLength={4096}
        spellCheck={false}
        onChange={event => setTyped(event.target.value)}
        onBlur={commit}
        onKeyDown={event => event.key === 'Enter' && commit()}
        className="field h-8 min-w-0 grow px-2 text-sm placeholder:text-faint"
      />
      <OpenFolder which="pictures" label={s.openPictures} />
    </div>
  )
}

export function FolderList() {
  const { settings: s } = useStrings()
  const folders = useSettings(({ values }) => values.galleryFolders)
  const [path, setPath] = useState('')
  const add = (event: FormEvent) => {
    event.preventDefault()
    const whole = path.trim()
    if (whole === '' || refused(whole)) return
    if (!folders.includes(whole)) void changeSettings({ galleryFolders: [...folders, whole] })
    setPath('')
  }
  return (
    <div className="flex flex-col gap-1">
      {folders.map(folder => (
        <div key={folder} className="flex items-center gap-2 border-b border-line py-1">
          <span className="selectable min-w-0 grow text-sm break-all">{folder}</span>
          <IconButton
            label={s.removeFolder(folder)}
            size="small"
            onClick={() => void changeSettings({ galleryFolders: folders.filter(each => each !== folder) })}
          >
            <X aria-hidden />
          </IconButton>
        </div>
      ))}
      <form onSubmit={add} className="mt-1 flex gap-2">
        <input
          aria-label={s.folderPath}
          placeholder={s.folderPath}
          value={path}
          maxLength={4096}
          spellCheck={false}
          onChange={event => setPath(event.target.value)}
          className="field h-8 min-w-0 grow px-2 text-sm placeholder:text-faint"
        />
        <Button type="submit" disabled={path.trim() === ''}>
          <Plus className="size-4" aria-hidden />
          {s.addFolder}
        </Button>
      </form>
    </div>
  )
}

/** What the background service would draw with. */
export function HostSeatNote() {
  const { settings: s } = useStrings()
  const info = useAppInfo()
  if (!info) return null
  return <p className="text-xs text-faint">{info.hostSeat ? s.hostSeat(info.hostSeat.name) : s.noHostSeat}</p>
}

export function KeptTools() {
  const { settings: s } = useStrings()
  const { presets, lists } = useKept()
  return (
    <div className="flex items-center gap-2">
      <span className="numeric grow text-sm text-soft">
        {s.keptCount(presets.length, Object.keys(lists).length)}
      </span>
      <ImportButton />
      <ExportButton />
    </div>
  )
}
