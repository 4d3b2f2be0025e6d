// TensorOne's calls on any host: what its SDK and its documents' requests become here. Needs nothing but Node.

export class ApiError extends Error {
  constructor(status, body) {
    super(`${status}: ${body}`);
    this.status = status;
  }
}

export class Client {
  constructor({ host, apiKey }) {
    this.host = host.replace(/\/$/, "");
    this.apiKey = apiKey;
    // The SDK's name for what belongs to endpoints.
    this.endpoints = { getMetrics: (id, options) => this.getMetrics(id, options) };
  }

  async get(path, params = new URLSearchParams()) {
    const query = params.toString();
    const answer = await fetch(`${this.host}${path}${query && "?"}${query}`, {
      headers: { Authorization: `Bearer ${this.apiKey}` },
    });
    const body = await answer.text();
    if (!answer.ok) throw new ApiError(answer.status, body);
    return JSON.parse(body);
  }

  getMetrics(endpointId, options = {}) {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(options)) {
      params.append(name, Array.isArray(value) ? value.join(",") : value);
    }
    return this.get(`/v2/endpoints/${encodeURIComponent(endpointId)}/metrics`, params);
  }

  getPerformance(params) {
    return this.get("/v2/monitoring/performance", params);
  }
}
