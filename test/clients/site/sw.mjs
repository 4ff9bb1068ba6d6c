import { installXet } from '/xetkit/dist/service-worker.js';

installXet(self, { client: { endpoint: new URLSearchParams(location.search).get('hub') } });
