/** The dialog that exports word maps: choices left; what will be written, and one picture of it, right. */
import { Download, FolderDown, LoaderCircle, ScanEye } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { ErrorRecord } from '../../../model/contract/errors.ts'
import type { ExportMapsHeader, MapsPreview } from '../../../model/contract/host-api.ts'
import { type DrawnPicture, selectedPicture, usePictures } from '../../state/pictures.ts'
import { recordOf, showDialog, tell, useUi } from '../../state/ui.ts'
import { strings, useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Empty } from '../../ui/empty.tsx'
import { FolderField } from '../models/folder-field.tsx'
import { saveFile } from '../presets/transfer.tsx'
import { ExportOptions } from './export-options.tsx'
import {
  firstChoice,
  forgetRecording,
  headerOf,
  missing,
  previewMaps,
  saveMaps,
  useExport,
  whyNot,
  zipMaps,
} from './export-state.ts'

export function ExportDialog() {
  const { export: words } = useStrings()
  const open = useUi(state => state.dialog === 'export')
  return (
    <Dialog
      open={open}
      onClose={() => showDialog(undefined)}
      title={words.title}
      className="top-[6vh]! max-h-[88vh]! w-[min(58rem,calc(100vw-2rem))]!"
    >
      <Content />
    </Dialog>
  )
}

/** Of the picture that was shown when the dialog opened. */
function Content() {
  const { export: words } = useStrings()
  const shown = useRef(selectedPicture()?.id)
  const picture = usePictures(({ pictures }) => pictures.find(({ id }) => id === shown.current))
  useEffect(() => forgetRecording, [])
  const why = whyNot(picture, words)
  if (why !== undefined || !picture) {
    return (
      <div className="py-8">
        <Empty icon={<ScanEye aria-hidden />} title={words.notKeptTitle}>
          {why}
        </Empty>
      </div>
    )
  }
  return <Choices picture={picture} />
}

function Choices({ picture }: { readonly picture: DrawnPicture }) {
  const { export: words } = useStrings()
  const choice = useExport()
  const [chosen, setChosen] = useState<readonly string[]>(() => firstChoice(picture))
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<ErrorRecord>()
  const cannot = useMemo(() => missing(picture, words), [picture, words])
  const header = useMemo(() => headerOf(choice, picture, chosen, cannot), [choice, picture, chosen, cannot])
  const lacking =
    chosen.length === 0 ? words.chooseWord : header.formats.length === 0 ? words.chooseFormat : undefined
  const preview = usePreview(picture, lacking === undefined ? header : undefined)
  const blocked = lacking !== undefined || preview.problem !== undefined || isBusy
  const run = async (work: () => Promise<void>) => {
    setBusy(true)
    setProblem(undefined)
    try {
      await work()
    } catch (error) {
      setProblem(recordOf(error))
    } finally {
      setBusy(false)
    }
  }
  const download = () =>
    run(async () => {
      const zip = await zipMaps(picture, header)
      saveFile(`attune-maps-${picture.request.seed}.zip`, zip)
      const { export: now } = strings()
      tell({ tone: 'good', text: now.downloaded(preview.value?.files.length ?? 0) })
    })
  const save = () =>
    run(async () => {
      const folder = choice.folder.trim()
      const files = await saveMaps(picture, header, folder, choice.overwrite)
      tell({ tone: 'good', text: strings().export.saved(files.length, folder) })
    })
  return (
    <>
      <div className="grid min-h-0 grow grid-cols-[minmax(0,1.35fr)_minmax(0,1fr)]">
        <ExportOptions picture={picture} chosen={chosen} onChoose={setChosen} cannot={cannot} />
        <Preview {...preview} lacking={lacking} />
      </div>
      <footer className="border-t border-line p-4">
        {problem && (
          <p role="alert" className="selectable mb-2 text-sm text-danger">
            {problem.message} {problem.remedy}
          </p>
        )}
        <div className="flex items-center gap-2">
          <FolderField
            label={words.folder}
            placeholder={words.folderPlaceholder}
            value={choice.folder}
            onChange={folder => useExport.setState({ folder })}
            dialogTitle={words.chooseTitle}
            above
          />
          <Button disabled={blocked || choice.folder.trim() === ''} onClick={() => void save()}>
            <FolderDown className="size-4" aria-hidden />
            {words.save}
          </Button>
          <Button tone="loud" disabled={blocked} onClick={() => void download()}>
            {isBusy ? (
              <LoaderCircle className="size-4 animate-spin" aria-hidden />
            ) : (
              <Download className="size-4" aria-hidden />
            )}
            {words.download}
          </Button>
        </div>
        <div className="mt-2 flex items-center justify-between gap-4 text-xs text-faint">
          <label className="flex items-center gap-2 text-soft">
            <input
              type="checkbox"
              checked={choice.overwrite}
              onChange={event => useExport.setState({ overwrite: event.target.checked })}
              className="size-4 accent-(--accent)"
            />
            {words.overwrite}
          </label>
          <span>{words.folderHint}</span>
        </div>
      </footer>
    </>
  )
}

interface PreviewState {
  readonly value: MapsPreview | undefined
  readonly problem: ErrorRecord | undefined
  readonly isLooking: boolean
}

/** Long enough that a few quick choices ask once. */
const pause = 200

/** What the host would write. @param header undefined: nothing to ask for */
function usePreview(picture: DrawnPicture, header: ExportMapsHeader | undefined): PreviewState {
  const [state, setState] = useState<PreviewState>({ value: undefined, problem: undefined, isLooking: true })
  useEffect(() => {
    if (!header) return setState({ value: undefined, problem: undefined, isLooking: false })
    let isOver = false
    setState(before => ({ ...before, isLooking: true }))
    const timer = setTimeout(() => {
      previewMaps(picture, header).then(
        value => isOver || setState({ value, problem: undefined, isLooking: false }),
        (error: unknown) =>
          isOver || setState({ value: undefined, problem: recordOf(error), isLooking: false }),
      )
    }, pause)
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [picture, header])
  return state
}

function Preview({
  value,
  problem,
  isLooking,
  lacking,
}: PreviewState & { readonly lacking?: string | undefined }) {
  const { export: words } = useStrings()
  const image = value?.picture
  const [url, setUrl] = useState<string>()
  useEffect(() => {
    if (!image) return setUrl(undefined)
    const bytes = Uint8Array.from(atob(image.base64), sign => sign.charCodeAt(0))
    const address = URL.createObjectURL(new Blob([bytes], { type: image.type }))
    setUrl(address)
    return () => URL.revokeObjectURL(address)
  }, [image])
  return (
    <section
      aria-label={words.preview}
      aria-busy={isLooking}
      className="flex min-h-0 flex-col border-l border-line bg-app"
    >
      <div className="relative grid h-[min(19rem,38vh)] shrink-0 place-items-center bg-stage">
        {image && url ? (
          <img
            src={url}
            alt={words.previewOf(image.name)}
            className="absolute inset-0 size-full object-contain p-4"
          />
        ) : (
          <p className="px-4 text-center text-sm text-faint">
            {isLooking ? words.looking : (lacking ?? (problem ? '' : words.noPreview))}
          </p>
        )}
        {isLooking && image && (
          <LoaderCircle className="absolute top-3 right-3 size-4 animate-spin text-soft" aria-hidden />
        )}
      </div>
      {problem && (
        <p role="alert" className="selectable p-3 text-sm text-danger">
          {problem.message} {problem.remedy}
        </p>
      )}
      {value && (
        <>
          <h3 className="label px-4 pt-3 pb-1">{words.files(value.files.length)}</h3>
          <ul
            aria-label={words.files(value.files.length)}
            tabIndex={0}
            className="selectable min-h-0 grow overflow-y-auto px-4 pb-3 font-mono text-xs leading-5 text-soft"
          >
            {value.files.map(name => (
              <li
                key={name}
                className={name === image?.name ? 'truncate text-accent' : 'truncate'}
                title={name}
              >
                {name}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  )
}
