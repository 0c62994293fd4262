/** The status page: one file without dependencies that shows what the status API says, every two seconds. */
export const STATUS_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>exposure-stream</title>
<style>
  :root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
  body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin-top: 2rem; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
  td.n, th.n { text-align: right; }
  .good { color: #15803d; } .bad { color: #b91c1c; font-weight: 600; }
</style>
<h1>exposure-stream <span id="ready"></span></h1>
<ul id="waiting"></ul>
<h2>Open alerts</h2><table id="alerts"></table><p id="suppressed"></p>
<h2>Experiments</h2><table id="experiments"></table><p id="more"></p>
<h2>Watermarks</h2><table id="watermarks"></table>
<h2>Ingest</h2><table id="ingest"></table>
<h2>Evaluate</h2><table id="evaluate"></table>
<p><a href="/api/v1/status">JSON</a> · <a href="/api/v1/alerts">alerts</a> · <a href="/api/v1/experiments">experiments</a> · <a href="/metrics">metrics</a></p>
<script>
  const cell = (tag, text, number) => { const c = document.createElement(tag); if (text instanceof Node) c.append(text); else c.textContent = text ?? '–'; if (number) c.className = 'n'; return c; };
  const table = (id, columns, rows) => {
    const row = (tag, texts) => { const r = document.createElement('tr'); texts.forEach((t, i) => r.append(cell(tag, t, columns[i][2]))); return r; };
    document.getElementById(id).replaceChildren(row('th', columns.map(c => c[0])), ...rows.map(x => row('td', columns.map(c => c[1](x)))));
  };
  const n = v => v === null || v === undefined ? '–' : v.toLocaleString('en-US');
  const time = ms => ms === null ? '–' : new Date(ms).toISOString().replace('T', ' ').slice(0, 19);
  const place = t => t.topic + '/' + t.partition;
  const link = (text, to) => { const a = document.createElement('a'); a.textContent = text; if (/^https?:/.test(to)) a.href = to; return a; };
  async function lookAtAlerts() {
    const { source, open, suppressed } = await (await fetch('/api/v1/alerts')).json();
    const columns = [['raised (UTC)', a => time(a.raised_ms)], ['severity', a => a.severity], ['kind', a => link(a.kind, a.runbook)], ['about', a => a.subject_kind + ' ' + a.subject_id], ['what', a => a.summary + (a.holds ? '' : ' (no longer so)')], ['next', a => a.next_step], ['owner', a => a.owner], ['id', a => a.alert_id]];
    table('alerts', columns, open);
    const notes = [...(source === 'postgres' ? [] : ['Postgres does not answer: only what this process has raised.']), ...suppressed.map(s => 'Not raised, since ' + s.reason + ': ' + s.summary)];
    document.getElementById('suppressed').textContent = notes.join(' ');
  }
  async function lookAtExperiments() {
    const { experiments, shown } = await (await fetch('/api/v1/experiments')).json();
    const p = v => v < .001 ? v.toExponential(1) : v.toPrecision(2);
    table('experiments', [['experiment', e => e.experiment_id], ['split', e => e.state], ['units', e => n(e.units), 1], ['by variant', e => e.variants.join(', ')], ['ln e', e => e.log_e.toFixed(1), 1], ['p (least so far)', e => p(e.p_value), 1], ['owner', e => e.owner]], shown);
    document.getElementById('more').textContent = experiments > shown.length ? 'The first of ' + n(experiments) + ' by evidence.' : '';
  }
  async function look() {
    const ready = document.getElementById('ready');
    try {
      const s = await (await fetch('/api/v1/status')).json();
      ready.textContent = s.ready ? 'ready' : 'not ready'; ready.className = s.ready ? 'good' : 'bad';
      document.getElementById('waiting').replaceChildren(...s.waiting_for.map(w => cell('li', w)));
      table('watermarks', [['stream', w => w.stream], ['watermark (UTC)', w => time(w.watermark_ms)], ['held back by', w => w.held_by]], s.watermarks);
      const common = [['partition', place], ['state', t => t.error ?? (t.restored ? t.state + ', ' + t.restored.phase + ' ' + Math.floor(t.restored.share * 100) + ' %' : t.state)], ['position', t => n(t.position), 1], ['committed', t => n(t.committed), 1], ['lag', t => n(t.lag_records), 1]];
      const counts = ['accepted', 'duplicate', 'late', 'invalid'].map(d => [d, t => n(t.dispositions?.[d]), 1]);
      table('ingest', [...common, ['watermark (UTC)', t => time(t.watermark_ms)], ...counts], s.ingest);
      table('evaluate', common, s.evaluate);
    } catch { ready.textContent = 'does not answer'; ready.className = 'bad'; }
  }
  const all = () => { look(); lookAtAlerts().catch(() => {}); lookAtExperiments().catch(() => {}); };
  all(); setInterval(all, 2000);
</script>
</html>
`;
