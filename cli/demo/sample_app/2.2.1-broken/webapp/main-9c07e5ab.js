// The TV's page: plays the default loop of configuration.json, one clip after the other, and shows the live score.
const root = document.querySelector("app-root");
const player = document.createElement("video");
player.muted = true;
const score = document.createElement("p");
score.className = "score";
root.append(player, score);

let loop = [];
let position = 0;

async function reload() {
  const configuration = await (await fetch("/configuration.json", { cache: "no-store" })).json();
  loop = configuration.sponsors ?? [];
  score.hidden = !configuration.liveScoreEnabled;
  score.dataset.position = configuration.scoreOverlay?.position ?? "top-right";
  position = 0;
  play();
}

function play() {
  if (loop.length === 0) return;
  player.src = "/" + loop[position % loop.length].path;
  position += 1;
  player.play().catch(() => setTimeout(play, 1000));
}

player.addEventListener("ended", play);
player.addEventListener("error", () => setTimeout(play, 1000));
reload();
