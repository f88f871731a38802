//! From the first frame to `Welcome`: who is it, what does it offer, may it.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use ostler_auth::WorkerGrant;
use ostler_catalog::Offer;
use ostler_rpc::{
    PROTOCOL_MAX, PROTOCOL_MIN,
    convert::Reader,
    transfer::{Assembler, AssemblerLimits},
    worker_v1::{self as wire, FromWorker, from_worker::Frame},
};
use ostler_types::{InstanceEpoch, ServerId, ServerName, TenantId, WorkerId};
use prost::Message;
use tonic::Status;

use crate::{config::Config, instance::KnownCalls, offer};

/// A `Hello` that was checked.
pub(crate) struct Newcomer {
    pub protocol: u32,
    pub worker: WorkerId,
    pub epoch: InstanceEpoch,
    pub sdk: String,
    pub capacity: u32,
    pub offers: Vec<Offered>,
    pub refusals: Vec<wire::EntryRefusal>,
    pub known: KnownCalls,
    pub grant: Arc<WorkerGrant>,
}

/// What it offers for one Server.
pub(crate) struct Offered {
    pub server: ServerId,
    pub offer: Offer,
    pub catalog_bytes: usize,
}

/// Calls a worker may take at once (GRPC-033).
const CAPACITY_MAX: u32 = 100_000;
/// A transfer for the catalog of each Server, and one for the known calls, at most.
const SPARE_TRANSFERS: usize = 8;

/// Reads until `Hello` and checks it. The caller bounds the time.
pub(crate) async fn shake<S>(
    inbound: &mut S,
    grant: Arc<WorkerGrant>,
    config: &Config,
) -> Result<Newcomer, Status>
where
    S: Stream<Item = Result<FromWorker, Status>> + Unpin,
{
    let mut assembler = Assembler::new(AssemblerLimits {
        payload_bytes_max: config.catalog_bytes_max,
        open_bytes_max: config.catalog_bytes_max,
        open_len_max: config.servers_per_worker_max + SPARE_TRANSFERS,
    });
    let hello = read_hello(inbound, &mut assembler).await?;
    check_hello(hello, assembler, grant, config)
}

async fn read_hello<S>(inbound: &mut S, assembler: &mut Assembler) -> Result<wire::Hello, Status>
where
    S: Stream<Item = Result<FromWorker, Status>> + Unpin,
{
    while let Some(frame) = inbound.next().await {
        match frame.map_err(decoded)?.frame {
            Some(Frame::Hello(hello)) => return Ok(hello),
            Some(Frame::Part(part)) => assembler.add(&part).map_err(invalid)?,
            Some(_) | None => return Err(invalid("the first frame must be Hello")),
        }
    }
    Err(invalid("the stream ended before Hello"))
}

/// What the decoder refuses is the worker's mistake (GRPC-031).
fn decoded(status: Status) -> Status {
    match status.code() {
        tonic::Code::Internal | tonic::Code::OutOfRange => invalid(status.message()),
        _ => status,
    }
}

fn invalid(problem: impl ToString) -> Status {
    Status::invalid_argument(problem.to_string())
}

fn check_hello(
    hello: wire::Hello,
    mut assembler: Assembler,
    grant: Arc<WorkerGrant>,
    config: &Config,
) -> Result<Newcomer, Status> {
    let protocol = common_version(&hello)?;
    let worker = WorkerId::parse(&hello.worker_id).map_err(invalid)?;
    if !grant.may_be(&worker) {
        let message = format!("the credential does not allow the worker id {worker}");
        return Err(Status::permission_denied(message));
    }
    if !(1..=CAPACITY_MAX).contains(&hello.capacity) {
        let message = format!(
            "capacity is {}, allowed are 1 to {CAPACITY_MAX}",
            hello.capacity
        );
        return Err(invalid(message));
    }
    let mut reader = Reader::new(&mut assembler, config.json_depth_max);
    let calls = reader.bytes("calls", hello.calls).map_err(invalid)?;
    let calls = wire::KnownCalls::decode(calls)
        .map_err(|error| invalid(format!("the known calls cannot be decoded: {error}")))?;
    let known = KnownCalls::new(calls.calls, hello.calls_truncated);
    let (offers, refusals) = check_servers(hello.servers, &mut reader, &grant, config)?;
    Ok(Newcomer {
        protocol,
        worker,
        epoch: InstanceEpoch(hello.instance_epoch),
        sdk: hello.sdk,
        capacity: hello.capacity,
        offers,
        refusals,
        known,
        grant,
    })
}

/// The highest version both sides speak.
fn common_version(hello: &wire::Hello) -> Result<u32, Status> {
    let (low, high) = (hello.protocol_min, hello.protocol_max);
    let common = high.min(PROTOCOL_MAX);
    if common >= low.max(PROTOCOL_MIN) {
        return Ok(common);
    }
    Err(Status::failed_precondition(format!(
        "this node speaks worker protocol {PROTOCOL_MIN} to {PROTOCOL_MAX}, the worker {low} to {high}"
    )))
}

type Offers = (Vec<Offered>, Vec<wire::EntryRefusal>);

fn check_servers(
    servers: Vec<wire::ServerOffer>,
    reader: &mut Reader<'_>,
    grant: &WorkerGrant,
    config: &Config,
) -> Result<Offers, Status> {
    if servers.is_empty() || servers.len() > config.servers_per_worker_max {
        let (len, max) = (servers.len(), config.servers_per_worker_max);
        return Err(invalid(format!(
            "{len} servers are offered, allowed are 1 to {max}"
        )));
    }
    let mut offers: Vec<Offered> = Vec::new();
    let mut refusals = Vec::new();
    for (index, server) in (0..).zip(servers) {
        let id = server_id(&server)?;
        if !grant.may_serve(&id) {
            let message = format!("the credential does not allow the server {id}");
            return Err(Status::permission_denied(message));
        }
        if offers.iter().any(|other| other.server == id) {
            return Err(invalid(format!("the server {id} is offered twice")));
        }
        let bytes = reader.bytes("catalog", server.catalog).map_err(invalid)?;
        let read = offer::read(index, &bytes, config.json_depth_max);
        let (offer, refused) = read.map_err(|reason| invalid(format!("server {id}: {reason}")))?;
        refusals.extend(refused);
        offers.push(Offered {
            server: id,
            offer,
            catalog_bytes: bytes.len(),
        });
    }
    Ok((offers, refusals))
}

fn server_id(offer: &wire::ServerOffer) -> Result<ServerId, Status> {
    let tenant = TenantId::parse(&offer.tenant).map_err(invalid)?;
    let name = ServerName::parse(&offer.server).map_err(invalid)?;
    Ok(ServerId { tenant, name })
}
