// Does the local application answer whom it should, and nobody else?
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <random>

#include "analysis/app/app.h"
#include "analysis/app/app_studies.h"
#include "scenarios/read/libraries/libraries.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr int kPort = 4711;
const std::string kToken = "secret";

HttpRequest request(const std::string& method, const std::string& what, const std::string& body = "") {
  HttpRequest out;
  out.method = method;
  out.path = "/" + kToken + "/" + what;
  out.headers = {{"host", "127.0.0.1:4711"}};
  if (method == "POST") out.headers["x-flopcast"] = "1";
  out.body = body;
  return out;
}

HttpRequest with(HttpRequest request, const std::string& name, const std::string& value) {
  request.arguments.emplace_back(name, value);
  return request;
}

/// Waits for the end of a run. @return its state
std::string finished(App& app, const std::string& id) {
  for (int i = 0; i < 2000; ++i) {
    const std::string state = app.answer(with(request("GET", "state"), "id", id)).body;
    if (state.find("\"running\"") == std::string::npos) return state;
    usleep(5000);
  }
  return "never";
}

TEST_CASE("app: only who knows the token is answered, under the one host, from the one origin", "[app]") {
  App app(load_environment(), {"", kToken, kPort});
  CHECK(app.answer(request("GET", "")).status == 200);
  CHECK(app.answer(request("GET", "begin")).status == 200);
  const auto refused = [&](HttpRequest asked) {
    const HttpAnswer answer = app.answer(asked);
    CHECK(answer.status == 403);
    CHECK_THAT(answer.body, !ContainsSubstring(kToken));
  };
  for (const char* path : {"/", "/begin", "/secre/", "/secrets/", "/secret", "/Secret/", "//", "/secret x/", ""}) {
    HttpRequest asked = request("GET", "");
    asked.path = path;
    CAPTURE(path);
    refused(asked);
  }
  // DNS rebinding: the browser thinks that evil.example is here.
  for (const char* host : {"evil.example:4711", "localhost:4711", "127.0.0.1", "127.0.0.1:80", ""}) {
    HttpRequest asked = request("GET", "begin");
    asked.headers["host"] = host;
    refused(asked);
  }
  // Pages of other sites may post forms without asking first.
  HttpRequest form = request("POST", "run", testing::kDense);
  form.headers.erase("x-flopcast");
  refused(form);
  HttpRequest foreign = request("POST", "run", testing::kDense);
  foreign.headers["origin"] = "https://evil.example";
  refused(foreign);
  HttpRequest site = request("GET", "begin");
  site.headers["sec-fetch-site"] = "cross-site";
  refused(site);
  CHECK(app.answer(request("GET", "nothing")).status == 404);
  CHECK(random_token().size() == 64);
  CHECK(random_token() != random_token());
}

TEST_CASE("app: faults as one types, a run, its page, a second one and the difference", "[app]") {
  App app(load_environment(), {"", kToken, kPort});
  CHECK_THAT(app.answer(request("POST", "check", "clustr {}")).body,
             ContainsSubstring("\"line\":1") && ContainsSubstring("did you mean"));
  CHECK_THAT(app.answer(request("POST", "check", testing::kDense)).body, ContainsSubstring("\"faults\":[]"));
  // The form shows what the scenario states, also while something is wrong with it.
  for (const std::string& text : {testing::kDense, testing::kDense + "clustr {}"})
    CHECK_THAT(app.answer(request("POST", "check", text)).body, ContainsSubstring("\"training.plan.pipeline\":\"4\"") &&
                                                                    ContainsSubstring("\"run.phase[0].name\":\"all\""));
  CHECK_THAT(app.answer(request("POST", "run", "clustr {}")).body, ContainsSubstring("\"faults\":[{"));
  CHECK_THAT(app.answer(request("POST", "run", testing::kDense)).body, ContainsSubstring("\"id\":0"));
  CHECK_THAT(finished(app, "0"), ContainsSubstring("\"done\""));
  const HttpAnswer page = app.answer(with(request("GET", "page"), "id", "0"));
  CHECK(page.type == "text/html; charset=utf-8");
  CHECK_THAT(page.body, ContainsSubstring("A small dense model") && ContainsSubstring("The pipeline"));
  const HttpRequest faster = with(request("POST", "run", testing::kDense), "set", "training.batch.sequences=128");
  CHECK_THAT(app.answer(faster).body, ContainsSubstring("\"id\":1"));
  CHECK_THAT(finished(app, "1"), ContainsSubstring("\"done\""));
  const HttpRequest difference = with(with(request("GET", "difference"), "a", "0"), "b", "1");
  CHECK_THAT(app.answer(difference).body, ContainsSubstring("training.step_time_s"));
  CHECK_THAT(app.answer(with(request("GET", "json"), "id", "1")).body, ContainsSubstring("\"step_time_s\""));
  CHECK_THAT(app.answer(with(request("GET", "csv"), "id", "1")).body, ContainsSubstring("training.step_time_s,"));
  for (const char* id : {"", "7", "-1", "x", "99999999999"})
    CHECK(app.answer(with(request("GET", "page"), "id", id)).status == 404);
}

TEST_CASE("app: a run is cancelled, and saving goes into the folder and nowhere else", "[app]") {
  const test::TemporaryFolder folder;
  App app(load_environment(), {folder.path(), kToken, kPort});
  HttpRequest long_run = with(request("POST", "run", testing::kDense), "set", "training.batch.sequences=65536");
  CHECK_THAT(app.answer(long_run).body, ContainsSubstring("\"id\":0"));
  CHECK(app.answer(with(request("POST", "cancel"), "id", "0")).status == 200);
  CHECK_THAT(finished(app, "0"), ContainsSubstring("\"cancelled\""));
  CHECK(app.answer(with(request("GET", "page"), "id", "0")).status == 409);
  CHECK(app.answer(with(request("POST", "save", "x"), "name", "mine")).status == 200);
  CHECK(testing::contents(folder.path() + "/mine.textproto") == "x");
  for (const char* name : {"", "../mine", "/tmp/x", "a/b", "a.b", "..", "a\nb"}) {
    CAPTURE(name);
    CHECK(app.answer(with(request("POST", "save", "x"), "name", name)).status == 400);
    CHECK(app.answer(with(request("GET", "scenario"), "name", name)).status == 404);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  App without(load_environment(), {"", kToken, kPort});
  CHECK(without.answer(with(request("POST", "save", "x"), "name", "mine")).status == 403);
}

TEST_CASE("app: what the page begins with, and a state that outlives the program", "[app]") {
  const test::TemporaryFolder folder;
  {
    App app(load_environment(), {folder.path(), kToken, kPort});
    CHECK_THAT(app.answer(request("GET", "begin")).body, ContainsSubstring("\"deepseek_v3_2048_h800\"") &&
                                                             ContainsSubstring("\"folder\":true") &&
                                                             ContainsSubstring("\"session\":\"\""));
    CHECK(app.answer(request("POST", "keep", "{\"name\":\"<b>\"}")).status == 200);
    CHECK(app.answer(request("POST", "keep", std::string(2 << 20, 'x'))).status == 413);
    CHECK(app.answer(with(request("POST", "save", "cluster {}"), "name", "mine")).status == 200);
  }
  App again(load_environment(), {folder.path(), kToken, kPort});
  again.warm_up();
  CHECK_THAT(again.answer(request("GET", "begin")).body,
             ContainsSubstring("\\u003cb\\u003e") && ContainsSubstring("\"saved\":[\"mine\"]"));
  CHECK(again.answer(with(request("GET", "scenario"), "name", "mine")).body == "cluster {}");
  CHECK_THAT(again.answer(with(request("GET", "scenario"), "name", "deepseek_v3_2048_h8000")).body,
             ContainsSubstring("did you mean deepseek_v3_2048_h800?"));
  CHECK_THAT(again.answer(request("GET", "fields")).body, ContainsSubstring("training.plan.pipeline"));
  // Nothing is kept that could not be taken up again, and what is damaged is left out with a word.
  for (const char* state : {"", "not json <script>", "[1]", "7", "null", "{\"name\":"})
    CHECK(again.answer(request("POST", "keep", state)).status == 400);
  CHECK_THAT(again.answer(request("GET", "begin")).body, ContainsSubstring("\"session_fault\":\"\""));
  folder.write("flopcast-app.json", "not json <script>");
  CHECK_THAT(again.answer(request("GET", "begin")).body, ContainsSubstring("\"session\":\"\"") &&
                                                             ContainsSubstring("/flopcast-app.json is left out") &&
                                                             ContainsSubstring("\"first\":\"deepseek_v3_2048_h800\""));
  // A link in the folder leads out of it.
  std::filesystem::create_symlink("/etc/hostname", folder.path() + "/link.textproto");
  CHECK(again.answer(with(request("GET", "scenario"), "name", "link")).status == 404);
}

/// A file's name as texts may spell it: in quotes of either kind, in pieces, some of its characters as escapes.
std::string spelled(const std::string& name, std::mt19937& random) {
  std::string out;
  const auto other_quotes = [&random] { return random() % 2 == 0 ? "\"" : "'"; };
  std::string quotes = other_quotes();
  out += quotes;
  for (const char c : name) {
    const unsigned code = static_cast<unsigned char>(c);
    switch (random() % 6) {
      case 0:
        out += fmt::format("\\x{:02x}", code);
        break;
      case 1:
        out += fmt::format("\\{:03o}", code);
        break;
      case 2:
        out += quotes + " " + (quotes = other_quotes()) + c;
        break;
      default:
        out += c;
    }
  }
  return out + quotes;
}

TEST_CASE("app: however a file is named, none is read but below the folder", "[app]") {
  const test::TemporaryFolder outside;
  const std::string secret = outside.write("secret.txt", "TOPSECRET 1 2\n");
  std::filesystem::create_directory(outside.path() + "/folder");
  const std::string folder = outside.path() + "/folder";
  std::filesystem::create_symlink(secret, folder + "/link.txt");
  std::filesystem::create_directory_symlink(outside.path(), folder + "/up");
  outside.write("folder/own.txt", "OWNTEXT 1 2\n");
  std::string open = testing::kDense;
  const std::size_t schedule = open.find("schedule:");
  open.erase(schedule, open.find('"', open.find('"', schedule) + 1) + 1 - schedule);
  const std::string serving = testing::contents(
      *Libraries::discover({}).find(LibraryKind::scenarios, "llama_3_1_70b_mooncake_conversation_trace"));
  App app(load_environment(), {folder, kToken, kPort});
  const auto answers = [&](HttpRequest asked) {
    asked.arguments.emplace_back("name", "mine");
    std::string said = app.answer(asked).body;
    const std::size_t id = said.find("\"id\":");
    if (id == std::string::npos) return said;
    const std::string number = said.substr(id + 5, said.find('}', id) - id - 5);
    said = finished(app, number);
    return said + app.answer(with(request("GET", "points"), "id", number)).body;
  };
  CHECK_THAT(answers(with(request("POST", "check", open), "set", "training.schedule_file=own.txt")),
             ContainsSubstring("OWNTEXT"));
  std::mt19937 random(20);
  for (const std::string& name : {secret, std::string("../secret.txt"), std::string("link.txt"),
                                  std::string("up/secret.txt"), std::string("own/../../secret.txt"),
                                  folder + "/up/none", std::string("/etc/passwd"), std::string("/no/such/file")}) {
    for (int round = 0; round < 4; ++round) {
      const std::string words = round == 0 ? "\"" + name + "\"" : spelled(name, random);
      std::string in_text = open;
      in_text.insert(schedule, "schedule_file: " + words);
      std::vector<HttpRequest> asked = {request("POST", "check", in_text)};
      for (const std::string& set : {"training.schedule_file=" + words, "training=schedule_file: " + words})
        asked.push_back(with(request("POST", "check", open), "set", set));
      for (const std::string& set :
           {"serving.traffic.stream[0].trace.file=" + words, "serving.traffic.stream[0].trace={file: " + words + "}",
            "serving={traffic {stream {trace {file: " + words + "}}}}"})
        asked.push_back(with(request("POST", "check", serving), "set", set));
      if (round == 1) {
        for (const char* what : {"run", "plan"}) asked.push_back(request("POST", what, in_text));
        asked.push_back(with(request("POST", "sweep", open), "axis", "training.schedule_file='" + name + "'"));
      }
      for (const HttpRequest& one : asked) {
        const std::string said = answers(one);
        CAPTURE(one.path, words, said);
        CHECK_THAT(said, ContainsSubstring("expected"));
        CHECK_THAT(said, !ContainsSubstring("TOPSECRET") && !ContainsSubstring("daemon"));
      }
      if (round > 0) continue;
      // Nor is told whether there is such a file. (An override is taken as it stands, without escapes.)
      const std::string plain = "\"" + name + "\"";
      for (const HttpRequest& one :
           {request("POST", "check", in_text),
            with(request("POST", "check", open), "set", "training.schedule_file=" + plain),
            with(request("POST", "check", serving), "set", "serving.traffic.stream[0].trace.file=" + plain)}) {
        const std::string said = answers(one);
        CAPTURE(words, said);
        if (one.body != serving || name.front() == '/') CHECK_THAT(said, ContainsSubstring("a file below "));
        CHECK_THAT(said, !ContainsSubstring("no such") && !ContainsSubstring("no file"));
      }
    }
  }
  // Nor is anything written through a link.
  std::filesystem::create_symlink(secret, folder + "/mine.textproto");
  CHECK(app.answer(with(request("POST", "save", "x"), "name", "mine")).status == 500);
  CHECK(testing::contents(secret) == "TOPSECRET 1 2\n");
  // Without a folder there is none but that of the library.
  App without(load_environment(), {"", kToken, kPort});
  const HttpRequest beside = with(request("POST", "check", open), "set", "training.schedule_file=CMakeLists.txt");
  CHECK_THAT(without.answer(beside).body, ContainsSubstring("a file below ") && !ContainsSubstring("no such"));
}

TEST_CASE("app: a sweep gives a point per candidate, refused ones with a fault", "[app]") {
  App app(load_environment(), {"", kToken, kPort});
  HttpRequest sweep = with(request("POST", "sweep", testing::kDense), "axis", "training.batch.sequences=64,128,63");
  sweep.arguments.emplace_back("axis", "training.schedule=gpipe,1f1b");
  CHECK_THAT(app.answer(sweep).body, ContainsSubstring("\"id\":0"));
  CHECK_THAT(finished(app, "0"), ContainsSubstring("\"done\"") && ContainsSubstring("\"points\":6"));
  const std::string points = app.answer(with(request("GET", "points"), "id", "0")).body;
  CHECK_THAT(points,
             ContainsSubstring("\"training.step_time_s\"") && ContainsSubstring("sequences=128, schedule=gpipe"));
  CHECK_THAT(points, ContainsSubstring("expected"));  // 63 sequences do not divide
  const HttpAnswer csv = app.answer(with(request("GET", "csv"), "id", "0"));
  CHECK(std::count(csv.body.begin(), csv.body.end(), '\n') == 7);
  CHECK_THAT(app.answer(with(request("GET", "inputs"), "id", "0")).body, ContainsSubstring("A small dense model"));
  for (const char* axis : {"", "training.plan.data", "=1,2", "training.plan.data= , "}) {
    CAPTURE(axis);
    CHECK_THAT(app.answer(with(request("POST", "sweep", testing::kDense), "axis", axis)).body,
               ContainsSubstring("\"faults\":[{"));
  }
  HttpRequest many = request("POST", "sweep", testing::kDense);
  std::string values = "1";
  for (int i = 2; i < 500; ++i) values += "," + std::to_string(i);
  many.arguments.emplace_back("axis", "training.batch.sequences=" + values);
  CHECK_THAT(app.answer(many).body, ContainsSubstring("\"id\":1"));
  CHECK_THAT(finished(app, "1"), ContainsSubstring("more than 400"));
  CHECK(parse_axis("a.b='x, y',z").values == std::vector<std::string>{"x, y", "z"});
}

TEST_CASE("app: plans are priced, and the best of them replayed", "[app]") {
  App app(load_environment(), {"", kToken, kPort});
  CHECK_THAT(app.answer(request("POST", "plan", testing::kDense)).body, ContainsSubstring("\"id\":0"));
  CHECK_THAT(finished(app, "0"), ContainsSubstring("\"done\""));
  const std::string points = app.answer(with(request("GET", "points"), "id", "0")).body;
  CHECK_THAT(points, ContainsSubstring("\"replayed\":true") && ContainsSubstring("training.plan.pipeline="));
}

TEST_CASE("app: passes are moved, and what is impossible says why", "[app]") {
  App app(load_environment(), {"", kToken, kPort});
  const std::string text = testing::kDense;
  app.answer(with(request("POST", "run", text), "set", "training.batch.sequences=16"));
  CHECK_THAT(finished(app, "0"), ContainsSubstring("\"done\""));
  CHECK_THAT(app.answer(request("GET", "runs")).body, ContainsSubstring("\"passes\":true"));
  const std::string pipeline = app.answer(with(request("GET", "pipeline"), "id", "0")).body;
  CHECK_THAT(pipeline, ContainsSubstring("3: F0 B0 F1 B1 F2 B2 F3 B3") && ContainsSubstring("\"rows\":4"));
  CHECK_THAT(app.answer(with(request("GET", "svg"), "id", "0")).body, ContainsSubstring("<svg"));
  const auto moved = [&](const std::string& last) {
    return with(request("POST", "run",
                        text +
                            "\x1e"
                            "0: F0 F1 F2 F3 B0 B1 B2 B3\n1: F0 F1 F2 F3 B0 B1 B2 B3\n"
                            "2: F0 F1 F2 F3 B0 B1 B2 B3\n3: " +
                            last + "\n"),
                "set", "training.batch.sequences=16");
  };
  CHECK_THAT(app.answer(moved("F0 F1 F2 F3 B0 B1 B2 B3")).body, ContainsSubstring("\"id\":1"));
  CHECK_THAT(finished(app, "1"), ContainsSubstring("\"done\""));
  CHECK_THAT(app.answer(with(request("GET", "inputs"), "id", "1")).body, ContainsSubstring("F0 F1 F2 F3"));
  CHECK_THAT(app.answer(moved("B0 F0 F1 F2 F3 B1 B2 B3")).body, ContainsSubstring("\"faults\":[{"));
  CHECK_THAT(app.answer(moved("F0 F1 F2 B0 B1 B2")).body, ContainsSubstring("\"faults\":[{"));
}

TEST_CASE("http: what is malformed is no request", "[app]") {
  CHECK(parse_request("GET /a%20b?x=1&y=%41+c HTTP/1.1\r\nHost: h").request->path == "/a b");
  CHECK(parse_request("GET /?x=1&y=%41+c HTTP/1.1").request->argument("y") == "A c");
  for (const char* head :
       {"", "GET", "GET /", "GET / HTTP/2", "GET  / HTTP/1.1", "GET a HTTP/1.1", "GET /%4 HTTP/1.1",
        "GET /%zz HTTP/1.1", "GET /%00 HTTP/1.1", "GET / HTTP/1.1\r\nno colon", "GET / HTTP/1.1\r\n: x",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b", "GET / HTTP/1.1\r\na b: c", "GET / HTTP/1.1\r\nHost: a\rb"}) {
    CAPTURE(head);
    CHECK_FALSE(parse_request(head).request);
  }
  CHECK(parse_request("PUT / HTTP/1.1").fault == 405);
  // Ten thousand broken ones, by bytes flipped, dropped and doubled: none crashes, whatever it turns into.
  const std::string sound =
      "POST /secret/run?set=a%3Db HTTP/1.1\r\nHost: 127.0.0.1:4711\r\nContent-Length: 3\r\nX-Flopcast: 1";
  std::mt19937 random(1);
  App app(load_environment(), {"", kToken, kPort});
  std::size_t let_in = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string head = sound;
    for (int change = 0; change < 3; ++change) {
      const std::size_t at = random() % head.size();
      if (random() % 3 == 0)
        head.erase(at, 1 + random() % 4);
      else if (random() % 2 == 0)
        head.insert(at, 1, static_cast<char>(random()));
      else
        head[at] = static_cast<char>(random());
      if (head.empty()) head = "x";
    }
    const ParsedRequest parsed = parse_request(head);
    if (parsed.request && app.answer(*parsed.request).status == 200) ++let_in;
  }
  CHECK(let_in < 10'000);
}

TEST_CASE("app: three runs at a time, seen by whoever asks", "[app]") {
  App app(load_environment(), {"", kToken, kPort});
  const HttpRequest long_run = with(request("POST", "run", testing::kDense), "set", "training.batch.sequences=65536");
  for (int i = 0; i < 3; ++i) CHECK(app.answer(long_run).status == 200);
  const HttpAnswer fourth = app.answer(long_run);
  CHECK(fourth.status == 429);
  CHECK_THAT(fourth.body, ContainsSubstring("cancel one, or wait"));
  const std::string seen = app.answer(request("GET", "runs")).body;  // of any browser
  CHECK_THAT(seen, ContainsSubstring("\"id\":2") && ContainsSubstring("\"running\""));
  for (const char* id : {"0", "1", "2", "2"})
    CHECK(app.answer(with(request("POST", "cancel"), "id", id)).status == 200);
  for (const char* id : {"0", "1", "2"}) CHECK_THAT(finished(app, id), ContainsSubstring("\"cancelled\""));
}

int connection_to(int port) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  REQUIRE(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return connection;
}

/// What the server answers to these bytes.
std::string said(int port, const std::string& bytes) {
  const int connection = connection_to(port);
  (void)!send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  shutdown(connection, SHUT_WR);
  std::string out;
  char piece[4096];
  for (ssize_t got = 0; (got = recv(connection, piece, sizeof piece, 0)) > 0;)
    out.append(piece, static_cast<std::size_t>(got));
  close(connection);
  return out;
}

TEST_CASE("http: a server answers on its port, one request at a time, and goes on after bad ones", "[app]") {
  HttpServer server(0, [](const HttpRequest& asked) {
    return HttpAnswer{200, "text/plain", asked.method + asked.body};
  });
  std::atomic<bool> go_on{true};
  std::thread serving([&] { server.serve([&] { return go_on.load(); }); });
  const std::string huge(20'000, 'a');
  CHECK_THAT(said(server.port(), "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
             ContainsSubstring("200 OK") && ContainsSubstring("POSTabc") && ContainsSubstring("nosniff"));
  CHECK(said(server.port(), "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nabc").empty());  // the rest never came
  CHECK_THAT(said(server.port(), "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"), ContainsSubstring("413"));
  CHECK_THAT(said(server.port(), "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), ContainsSubstring("400"));
  CHECK_THAT(said(server.port(), "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
             ContainsSubstring("400"));
  CHECK_THAT(said(server.port(), "GET /" + huge + " HTTP/1.1\r\n\r\n"), ContainsSubstring("431"));
  CHECK_THAT(said(server.port(), "\r\n\r\n"), ContainsSubstring("400"));
  CHECK(said(server.port(), "").empty());
  CHECK_THAT(said(server.port(), "GET / HTTP/1.1\r\n\r\n"), ContainsSubstring("200 OK"));
  // Silent connections, more than there are workers and more than are let in, keep nobody waiting.
  std::vector<int> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(connection_to(server.port()));
    if (i % 3 == 0) (void)!send(silent.back(), "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\na", 41, MSG_NOSIGNAL);
  }
  for (int i = 0; i < 20; ++i) {
    const auto before = std::chrono::steady_clock::now();
    CHECK_THAT(said(server.port(), "GET / HTTP/1.1\r\n\r\n"), ContainsSubstring("200 OK"));
    CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(5));
  }
  for (const int connection : silent) close(connection);
  CHECK_THROWS_AS(HttpServer(server.port(), [](const HttpRequest&) { return HttpAnswer{}; }), std::runtime_error);
  go_on = false;
  serving.join();
}

}  // namespace
}  // namespace flopcast
