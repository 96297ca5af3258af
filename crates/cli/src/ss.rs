//! `handwave ss`: the sockets of a running stack, as ss and netstat show the kernel's.

mod details;
mod filter;
mod list;
mod names;
mod netstat;
#[cfg(test)]
mod sample;
mod services;
mod states;
mod summary;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use handwave::control::Client;
use handwave::control::protocol::{Hello, Netid, Select, Socket};

use self::filter::{Condition, Filter, is_ipv6, netids};
use self::list::Look;
use self::names::Names;
use self::services::Services;
use self::states::States;
use self::table::Table;
use crate::args::{Common, SsArgs};
use crate::control;
use crate::failure::{Failure, Kind};
use crate::screen::Screen;

/// Text is written when there is so much of it, in octets.
const CHUNK: usize = 64 * 1024;

/// Runs the subcommand.
pub(crate) fn run(args: &SsArgs, common: &Common) -> Result<ExitCode, Failure> {
    // All that can be wrong without the other program is found before it is asked.
    let query = Query::new(args)?;
    let mut client = control::client(&args.look)?;
    let mut screen = Screen::new(common.color.choice(), None);
    if args.summary {
        let summary = ask(&mut client, Client::summary)?;
        screen.text(&match args.json {
            true => json(&summary)?,
            false => summary::text(&summary),
        })?;
    } else {
        let mut view = View::new(args, &query, client.hello());
        list(&mut client, &query, &mut view, &mut screen)?;
        if args.netstat {
            beside(&mut client, &mut screen)?;
        }
    }
    screen.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What cookies do, below the last line, or beside the screen where a program reads and counts the lines.
fn beside(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    let summary = ask(client, Client::summary)?;
    let text = summary::half_open(&summary);
    if io::stdout().is_terminal() {
        return screen.text(&text);
    }
    screen.flush()?;
    eprint!("{text}");
    Ok(())
}

fn ask<T>(
    client: &mut Client,
    question: impl Fn(&mut Client) -> io::Result<T>,
) -> Result<T, Failure> {
    question(client).map_err(|error| control::lost(client.path(), &error))
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string(value)
        .map_err(|error| Failure::new(Kind::Failed, "cannot write the answer").because(error))?;
    text.push('\n');
    Ok(text)
}

/// Which sockets.
#[derive(Debug)]
struct Query {
    netids: &'static [Netid],
    states: States,
    ipv4: bool,
    ipv6: bool,
    condition: Condition,
    /// With timers, numbers and memory.
    details: bool,
}

impl Query {
    fn new(args: &SsArgs) -> Result<Self, Failure> {
        let filter = Filter::parse(&args.filter, &Services::of_system()).map_err(|why| {
            let text = args.filter.join(" ");
            Failure::new(Kind::Usage, format!("the filter \"{text}\" cannot be read"))
                .because(why)
                .hint("handwave ss state syn-recv")
                .hint("handwave ss '( sport = :80 or sport = :443 ) and dst 10.0.0.0/8'")
                .hint("handwave ss --help   (all states and conditions)")
        })?;
        let asked = match (args.all, args.listening) {
            (true, _) => States::ALL,
            (_, true) => States::LISTENING,
            _ if args.netstat => States::WITH_PEER,
            _ => States::OPEN,
        };
        Ok(Self {
            netids: netids(args.tcp, args.udp),
            states: filter.states.unwrap_or(asked),
            ipv4: args.ipv4,
            ipv6: args.ipv6,
            condition: filter.condition,
            details: args.options || args.memory || args.info,
        })
    }

    fn select(&self, netid: Netid) -> Select {
        Select {
            netid: Some(netid),
            states: self.states.to_vec(),
            details: self.details,
            ..Select::default()
        }
    }

    fn wants(&self, socket: &Socket) -> bool {
        let family = match (self.ipv4, self.ipv6) {
            (true, false) => !is_ipv6(socket),
            (false, true) => is_ipv6(socket),
            _ => true,
        };
        family && self.states.contains(socket.state) && self.condition.holds(socket)
    }
}

/// Shows every socket asked for, and keeps no more of them than fit on a few screens.
fn list(
    client: &mut Client,
    query: &Query,
    view: &mut View,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut ready = view.begin();
    for netid in query.netids {
        // What goes wrong at our end has to come through the client's visit.
        let mut ours = None;
        let visited = client.sockets(query.select(*netid), |socket| {
            if !query.wants(&socket) {
                return Ok(());
            }
            let show = || {
                ready.extend(view.add(socket)?);
                match ready.len() < CHUNK {
                    true => Ok(()),
                    false => screen.text(&std::mem::take(&mut ready)),
                }
            };
            show().map_err(|failure| {
                ours = Some(failure);
                io::ErrorKind::Other.into()
            })
        });
        if let Some(failure) = ours {
            return Err(failure);
        }
        visited.map_err(|error| control::lost(client.path(), &error))?;
    }
    ready.push_str(&view.end());
    screen.text(&ready)
}

/// How they are shown.
#[derive(Debug)]
enum View {
    Table(Look, Table),
    Netstat {
        /// Above the columns, if anything is to stand there.
        title: Option<&'static str>,
        names: Names,
        timers: bool,
    },
    Json {
        timers: bool,
        info: bool,
        memory: bool,
    },
}

impl View {
    fn new(args: &SsArgs, query: &Query, hello: &Hello) -> Self {
        let names = match args.numeric || args.json {
            true => Names::Numbers,
            false => Names::OfServices(Services::of_system()),
        };
        if args.json {
            return Self::Json {
                timers: args.options,
                info: args.info,
                memory: args.memory,
            };
        }
        if args.netstat {
            let title = netstat::title(args.listening, args.all);
            return Self::Netstat {
                title: (!args.no_header).then_some(title),
                names,
                timers: args.options,
            };
        }
        let users = || format!("users:((\"{}\",pid={}))", hello.program, hello.pid);
        let look = Look {
            names,
            netid: query.netids.len() > 1,
            state: !query.states.is_one(),
            timer: args.options,
            extended: args.extended,
            memory: args.memory,
            info: args.info,
            oneline: args.oneline,
            users: args.processes.then(users),
        };
        let table = look.table(!args.no_header);
        Self::Table(look, table)
    }

    /// What comes before all sockets.
    fn begin(&self) -> String {
        match self {
            Self::Netstat {
                title: Some(title),
                timers,
                ..
            } => netstat::header(title, *timers),
            _ => String::new(),
        }
    }

    /// Text that is ready to be written.
    fn add(&mut self, mut socket: Socket) -> Result<Option<String>, Failure> {
        Ok(match self {
            Self::Table(look, table) => table.push(look.row(&socket)),
            Self::Netstat { names, timers, .. } => Some(netstat::line(&socket, names, *timers)),
            Self::Json {
                timers,
                info,
                memory,
            } => {
                if !*timers {
                    socket.timers.clear();
                }
                socket.info = socket.info.filter(|_| *info);
                socket.memory = socket.memory.filter(|_| *memory);
                Some(json(&socket)?)
            }
        })
    }

    /// What is left.
    fn end(&mut self) -> String {
        match self {
            Self::Table(_, table) => table.take(),
            _ => String::new(),
        }
    }
}
