/** The window's entry: finds the host, reads the settings, shows the application, and opens the engine behind it. */
import { createRoot } from 'react-dom/client'
import { App } from './app/app.tsx'
import { startWindow } from './app/start.ts'
import './theme/theme.css'

await startWindow()
const root = document.getElementById('root')
if (root) createRoot(root).render(<App />)
performance.mark('attune-shown')
