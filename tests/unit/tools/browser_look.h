// Looks at a page through a headless Chromium: how much of each figure is really drawn? A script
// that only the tests add measures it inside the page. Shared by the tests of reports.
// Main thread. Always holds: the browser resolves no name, so that a page that needs the network
// shows as broken.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace vecserve::test {

// Of each figure: its name, how wide and high its data are on the screen, and how many shapes of
// some size are in it.
inline constexpr const char* kLook = R"js(<script>
window.addEventListener("load", () => {
  const found = [...document.querySelectorAll("svg[data-figure]")].map((svg) => {
    const data = svg.querySelector("g.data");
    const box = data.getBoundingClientRect();
    const shapes = [...data.querySelectorAll("path,rect,circle")].filter((shape) => {
      const own = shape.getBoundingClientRect();
      return own.width + own.height > 1;
    });
    return {name: svg.dataset.figure, width: box.width, height: box.height, shapes: shapes.length};
  });
  const pre = document.createElement("pre");
  pre.textContent = "LOOK" + JSON.stringify(found) + "KOOL";
  document.body.append(pre);
});
</script>)js";

// What a command prints.
inline std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), count);
  }
  pclose(pipe);
  return output;
}

inline bool has_browser() {
  return !output_of("command -v chromium").empty();
}

// What the browser saw; an empty list when it saw nothing.
inline nlohmann::json look_at(const std::string& page, const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "page.html";
  std::ofstream(file) << page << kLook;
  const std::string dom =
      output_of("HOME='" + folder.string() +
                "' timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir='" +
                (folder / "profile").string() +
                "' --host-resolver-rules='MAP * ~NOTFOUND' --dump-dom 'file://" + file.string() +
                "' 2>/dev/null");
  const std::size_t open = dom.find(">LOOK"), close = dom.find("KOOL<");
  if (open == std::string::npos || close == std::string::npos) return nlohmann::json::array();
  return nlohmann::json::parse(dom.substr(open + 5, close - open - 5));
}

}  // namespace vecserve::test
