import { AlertRows, MemoryAlertStore } from '../../src/alerts/store.ts';
import { alertStoreConformance } from '../conformance/alert-store.ts';

alertStoreConformance('MemoryAlertStore', async () => {
  const rows = new AlertRows();
  return {
    store: () => new MemoryAlertStore(rows),
    acknowledge: async (id, atMs) => void rows.acknowledge(id, atMs),
    close: async () => {},
  };
});
