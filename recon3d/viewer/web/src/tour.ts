// A flight along the cameras, without halts and corners.

import * as THREE from "three";
import { on, type Path, type Standpoint } from "./stage";

const SHORTER = 0.6; // of the way in the given order, from which the way from neighbour to neighbour is taken

/** In which order to visit places: as given where that is a path (a video, a walk), else from neighbour to neighbour. */
export function visited(places: readonly THREE.Vector3[]): number[] {
  const given = places.map((_, i) => i);
  const left = new Set(given.slice(1));
  const greedy = given.slice(0, 1);
  while (left.size) {
    const here = places[greedy[greedy.length - 1]];
    const next = [...left].reduce((a, b) => (here.distanceTo(places[a]) <= here.distanceTo(places[b]) ? a : b));
    left.delete(next);
    greedy.push(next);
  }
  return length(places, greedy) < SHORTER * length(places, given) ? greedy : given;
}

function length(places: readonly THREE.Vector3[], order: readonly number[]): number {
  return order.slice(1).reduce((sum, to, i) => sum + places[order[i]].distanceTo(places[to]), 0);
}

/** A quadratic B-spline through standpoints: it begins at the first, ends at the last and passes the others closely. */
export function smooth(stops: readonly Standpoint[]): Path {
  const last = stops.length - 1;
  const middle = (i: number) => (i < 0 ? stops[0] : i >= last ? stops[last] : on(stops[i], stops[i + 1], 0.5));
  return (part) => {
    const at = part * last;
    const i = Math.min(last, Math.floor(at + 0.5));
    const [from, to] = [middle(i - 1), middle(i)]; // the piece around stop i, half a stop long at both ends
    const [start, end] = [Math.max(0, i - 0.5), Math.min(last, i + 0.5)];
    const t = (at - start) / (end - start);
    return on(on(from, stops[i], t), on(stops[i], to, t), t);
  };
}
