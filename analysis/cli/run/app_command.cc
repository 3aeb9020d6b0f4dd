// `flopcast app`: a local page to explore in.
#include <fmt/format.h>

#include <filesystem>
#include <thread>

#include "analysis/app/app.h"
#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "sim/base/atomic_file.h"

namespace flopcast {
namespace {

struct AppArguments {
  int port = 0;
  std::string folder;
  std::vector<std::string> library_folders;
};

void run_app(const AppArguments& a) {
  if (!a.folder.empty() && !std::filesystem::is_directory(a.folder))
    throw InputError(Diagnostic{"", 0, 0, "--folder", "`" + a.folder + "`", "a folder that exists", ""});
  App app(load_environment(a.library_folders), {a.folder, random_token(), 0});
  std::optional<HttpServer> server;
  try {
    server.emplace(a.port, [&app](const HttpRequest& request) { return app.answer(request); });
  } catch (const std::runtime_error& error) {
    throw InputError(
        Diagnostic{"", 0, 0, "--port", error.what(), "a port that is free; without --port one is looked for", ""});
  }
  app.set_port(server->port());
  put(fmt::format("Open this in a browser on this machine (Ctrl-C ends it):\n\n    http://127.0.0.1:{}/{}/\n\n",
                  server->port(), app.token()));
  const StopFlag stop;
  std::thread warming([&app] { app.warm_up(); });
  server->serve([] { return !StopFlag::raised(); });
  warming.join();
}

}  // namespace

void add_app_command(Command& program) {
  program.add_command<AppArguments>(
      "app", "A local web page to explore in: pick or describe a scenario, run it, see what a change does",
      [](Command& command, AppArguments& a) {
        command.option("--port", a.port, "Port of 127.0.0.1; absent: any that is free")
            .value_name("N")
            .between(0, 65535);
        command.option("--folder", a.folder, "Where scenarios may be saved; absent: nowhere").value_name("DIR");
        add_library_option(command, a.library_folders);
      },
      run_app);
}

}  // namespace flopcast
