// What a pattern is made of: shares of clusters with their errors, and the rest.

import { unitText, written } from "./colours.js";
import { make } from "./dom.js";

const MOST_SHARES = 8;
const LEAST_SHARE = 0.005;
// As in the maps: a second pattern counts from this many standard errors above nothing.
const CERTAIN_ERRORS = 3;

const withError = (value, error) => `${value.toFixed(2)}${error > 0 ? ` ± ${error < 0.005 ? error.toFixed(3) : error.toFixed(2)}` : ""}`;

/** Elements that list the shares at a position, as the server has found them. */
export function sharesList(found, { clusters, titleOf, heading, unit }) {
  if (!found.measured) return [make("h3", {}, heading), make("p", { className: "quiet" }, "Not measured here.")];
  const sorted = [...found.shares].sort((one, other) => other.share - one.share);
  const used = sorted.filter(({ share }) => share > LEAST_SHARE).slice(0, MOST_SHARES);
  const rest = 1 - found.shares.reduce((sum, { share }) => sum + share, 0);
  const most = Math.max(1, ...used.map(({ share, error }) => share + (error || 0)));
  const percent = (part) => `${(100 * part) / most}%`;
  const row = (who, bar, number) => make("li", {}, make("span", { className: "who", title: who }, who), make("span", { className: "track" }, ...bar), make("span", { className: "number" }, number));
  const rows = used.map(({ cluster, share, error }) => {
    const bar = [make("span", { className: "fill", style: { width: percent(share), background: clusters[cluster - 1]?.colour } })];
    if (error > 0) {
      const low = Math.max(share - error, 0);
      bar.push(make("span", { className: "whisker", style: { left: percent(low), width: percent(share + error - low) } }));
    }
    return row(titleOf(cluster), bar, withError(share, error));
  });
  if (rest > LEAST_SHARE) {
    const bar = make("span", { className: "fill rest", style: { width: percent(rest) } });
    const words = make("span", { className: "within" }, "background and noise");
    const item = row("rest", [bar, words], rest.toFixed(2));
    item.title = "The rest to 1, which no cluster explains: background and noise";
    rows.push(item);
  }
  const words = [overlap(found, used)];
  if (found.background_intensity != null) words.push(`background ${written(found.background_intensity)} ${unitText(unit)}`);
  return [make("h3", {}, heading), make("ul", {}, ...rows), make("p", { className: "quiet" }, words.join(" · "))];
}

/** What is said of a second pattern: whether it counts, and how strong it is. */
export function overlap(found, used) {
  if (found.second) return `Second over first: ${withError(found.overlap_ratio, found.overlap_ratio_error)}`;
  if (used.length < 2) return "One pattern alone";
  const { share, error } = used[1];
  if (share < CERTAIN_ERRORS * error) return "The second pattern is below its error";
  return "The second pattern is too weak to count";
}
