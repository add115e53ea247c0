/** Downloads: an address to begin one, and each with its progress, or its error in words and what to do. */
import { Download as DownloadIcon, Pause, RotateCcw, X } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import type { HostDownload } from '../../../model/contract/host-api.ts'
import { useSettings } from '../../state/settings.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { formatBytes, formatDuration } from '../gallery/format.ts'
import {
  pauseDownload,
  removeFolder,
  retryDownload,
  startDownload,
  stopDownload,
  useLibrary,
} from './library-state.ts'

export function Downloads() {
  const { models: words } = useStrings()
  const downloads = useLibrary(state => state.downloads)
  return (
    <>
      <section aria-labelledby="downloads" className="flex flex-col gap-3 border-t border-line pt-6">
        <h3 id="downloads" className="text-lg font-semibold">
          {words.downloads}
        </h3>
        <Begin />
        {downloads.length === 0 ? (
          <p className="text-sm text-faint">{words.noDownloads}</p>
        ) : (
          <ul className="flex flex-col gap-2">
            {downloads.map(each => (
              <Item key={each.id} download={each} />
            ))}
          </ul>
        )}
      </section>
      <Folders />
    </>
  )
}

function Begin() {
  const { models: words } = useStrings()
  const [url, setUrl] = useState('')
  const [isWrong, setWrong] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    const typed = url.trim()
    if (!URL.canParse(typed) || !/^https?:$/.test(new URL(typed).protocol)) return setWrong(true)
    setWrong(false)
    if (await startDownload(typed)) setUrl('')
  }
  return (
    <form onSubmit={submit}>
      <div className="flex gap-2">
        <input
          aria-label={words.downloadUrl}
          aria-invalid={isWrong}
          aria-describedby="download-problem"
          placeholder="https://…"
          value={url}
          maxLength={4096}
          spellCheck={false}
          onChange={event => {
            setUrl(event.target.value)
            setWrong(false)
          }}
          className="field h-8 min-w-0 grow px-2 text-sm placeholder:text-faint"
        />
        <Button type="submit" disabled={url.trim() === ''}>
          <DownloadIcon className="size-4" aria-hidden />
          {words.download}
        </Button>
      </div>
      <p id="download-problem" role="alert" className="mt-1 text-xs text-danger empty:hidden">
        {isWrong && words.badUrl}
      </p>
    </form>
  )
}

function Item({ download }: { readonly download: HostDownload }) {
  const { models: words } = useStrings()
  const { id, name, state, received, total, bytesPerSecond, problem } = download
  const share = total ? Math.min(1, received / total) : undefined
  const isGoing = state === 'running' || state === 'queued' || state === 'paused'
  const facts = [
    total === undefined ? formatBytes(received) : words.received(formatBytes(received), formatBytes(total)),
    state === 'running' && bytesPerSecond ? words.speed(formatBytes(bytesPerSecond)) : undefined,
    state === 'running' && bytesPerSecond && total
      ? words.left(formatDuration((total - received) / bytesPerSecond))
      : undefined,
    state === 'running' ? undefined : words[state],
  ]
  return (
    <li className="rounded-lg bg-panel p-4">
      <div className="flex items-center gap-2">
        <span className="min-w-0 grow truncate font-medium" title={download.url}>
          {name}
        </span>
        {(state === 'failed' || state === 'paused') && (
          <Button size="small" onClick={() => void retryDownload(id)}>
            <RotateCcw className="size-3.5" aria-hidden />
            {words.resume}
          </Button>
        )}
        {(state === 'running' || state === 'queued') && (
          <IconButton label={words.pause(name)} size="small" onClick={() => void pauseDownload(id)}>
            <Pause aria-hidden />
          </IconButton>
        )}
        {isGoing && (
          <IconButton label={words.cancel(name)} size="small" onClick={() => void stopDownload(id)}>
            <X aria-hidden />
          </IconButton>
        )}
      </div>
      {isGoing && (
        <div
          role="progressbar"
          aria-label={name}
          aria-valuemin={0}
          aria-valuemax={100}
          {...(share !== undefined && { 'aria-valuenow': Math.round(100 * share) })}
          className="mt-2 h-1 overflow-hidden rounded-full bg-raised"
        >
          <div
            className={cx('h-full rounded-full bg-accent', share === undefined && 'w-1/3 animate-pulse')}
            style={share === undefined ? undefined : { width: `${100 * share}%` }}
          />
        </div>
      )}
      <p className="numeric mt-2 text-xs text-soft">{facts.filter(Boolean).join(' · ')}</p>
      {problem && (
        <p role="alert" className="selectable mt-1 text-xs text-danger">
          {problem.message} {problem.remedy}
        </p>
      )}
    </li>
  )
}

function Folders() {
  const { models: words } = useStrings()
  const folders = useSettings(({ values }) => values.modelFolders)
  return (
    <section aria-labelledby="model-folders" className="flex flex-col gap-2">
      <h3 id="model-folders" className="text-lg font-semibold">
        {words.folders}
      </h3>
      {folders.length === 0 && <p className="text-sm text-faint">{words.noFolders}</p>}
      <ul>
        {folders.map(path => (
          <li key={path} className="flex items-center gap-2 border-b border-line py-1 last:border-0">
            <span className="selectable min-w-0 grow text-sm break-all">{path}</span>
            <IconButton label={words.removeFolder(path)} size="small" onClick={() => void removeFolder(path)}>
              <X aria-hidden />
            </IconButton>
          </li>
        ))}
      </ul>
    </section>
  )
}
