// A client in TypeScript: its types come from the API's description alone.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { env: Record<string, string> };

const app = createClient<paths>({
  baseUrl: `${process.env.FINETUNE_URL}/api`,
  headers: { "x-functions-key": process.env.FINETUNE_KEY },
});

const { data, error } = await app.GET("/runs", { params: { query: { stage: "live" } } });
if (error) throw new Error(error.detail);
for (const run of data.runs) console.log(run.run_id, run.stage);
