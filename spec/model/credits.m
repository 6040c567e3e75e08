-- Two nodes with a request agent each, the home of line l at node l, one credit per VC and direction (HSL 5.2, D1 to D9).
-- The cells of both tables come from spec/coherence.toml. Messages have no data: what is searched for is deadlock.

const
  LINES: 1; -- 2: line 1 is homed at node 1
  MT: 0;    -- 1: the data are at a memory target in the node that is not the home
  HAND: 1;  -- dirty hand-over is agreed with: 0 no agent, 1 all, 2 that of node 0
  OPS: 0;   -- accesses: 0 all, 1 without write_ptl and atomic_store, 2 cached ones only

type
  Node: 0..1;
  Line: 0..LINES-1;
  Access: enum { load, store, store_line, evict, read_once, write_full, write_ptl, atomic_load, atomic_store, flush };
  Snoop: enum { SnpShared, SnpInv, SnpCur };
  Mem: enum { MemRd, MemWr, MemWrPtl };
  Follow: enum { go, MemData_OK, MemData_ERR, MemDone_OK, MemDone_ERR };
  Whom: enum { q, r };
  Snooped: enum { owner, others };
  Source: enum { buf, req, new, mem, old };
  Code: enum { PROTO, DATA, MEM };
--@ names
  Vc: enum { vc_REQ, vc_RWD, vc_SNP, vc_RSP, vc_DAT, vc_MEM };
  Kind: enum { k_request, k_snoop, k_answer, k_completion, k_ack, k_mem, k_mem_done };
  Message: record kind: Kind; l: Line; op: Op; snp: Snoop; st: State; mem: Mem; data: boolean; end;
  Tshr: record
    ctl: Control;
    op: Op;
    r: Node;                       -- undefined: Recall
    snp: Snoop;
    buf: Of_buf;
    due: boolean;                  -- a completion is owed to r
    pending: array[Node] of boolean; -- P
    -- D2, the output list: what has not left yet. A step may put a MemWr and a CmpData there at once.
    snoop: array[Node] of boolean;
    st: State; data: boolean;      -- the completion
    mem: Mem;
  end;

var
  st: array[Node] of array[Line] of State;
  pend: array[Node] of array[Line] of Access;
  out: array[Node] of array[Line] of Op;          -- the request of the MSHR that has not left (D1)
  ack: array[Node] of array[Line] of boolean;     -- its CmpAck has not left (D4)
  vc: array[Node] of array[Node] of array[Vc] of Message; -- from, to: the one buffer that the one credit is for
  t: array[Line] of Tshr;
  listed: array[Node] of array[Line] of Of_qdir;
  calm: boolean;                   -- no new access from now on
  peer: Node;
  doing: Access;
  follow: Follow;

-- Small words ---------------------------------------------------------------------------------------------------

function home(l: Line): Node; begin return l; end;
function target(l: Line): Node; begin return 1 - l; end;
function stable(n: Node; l: Line): boolean; begin
  return st[n][l] = I | st[n][l] = S | st[n][l] = E | st[n][l] = M;
end;
function channel(v: Vc): Vc; begin return v; end; -- D9: each has its own buffers
function room(a: Node; b: Node; v: Vc): boolean; begin return isundefined(vc[a][b][channel(v)].kind); end;
function way(op: Op): Vc; begin
  switch op
    case WbFull, WriteFull, WritePtl, AtomicLoad, AtomicStore: return vc_RWD;
    else return vc_REQ;
  endswitch;
end;

-- Actions of the request agent, by their names in the table --------------------------------------------------------

procedure ra_do_wait(n: Node; l: Line); begin pend[n][l] := doing; end;
procedure ra_do_hit(n: Node; l: Line); begin end;
procedure ra_do_hit_line(n: Node; l: Line); begin end;
procedure ra_do_send(n: Node; l: Line; op: Op); begin out[n][l] := op; end;
procedure ra_answer(n: Node; l: Line; v: Vc; s: State); begin
  assert "an answer has its credit" room(n, home(l), v);
  vc[n][home(l)][channel(v)].kind := k_answer;
  vc[n][home(l)][channel(v)].l := l;
  vc[n][home(l)][channel(v)].st := s;
  vc[n][home(l)][channel(v)].data := v = vc_DAT;
end;
procedure ra_do_rsp(n: Node; l: Line; s: State); begin ra_answer(n, l, vc_RSP, s); end;
procedure ra_do_rspdata(n: Node; l: Line; s: State); begin ra_answer(n, l, vc_DAT, s); end;
procedure ra_do_fill(n: Node; l: Line); begin end;
procedure ra_do_ack(n: Node; l: Line); begin
  assert "the CmpAck has its slot in the MSHR" !ack[n][l];
  ack[n][l] := true;
end;
procedure ra_do_drop(n: Node; l: Line); begin end;
procedure ra_do_free(n: Node; l: Line); begin end;
procedure ra_do_done(n: Node; l: Line); begin undefine pend[n][l]; end;
procedure ra_do_done_data(n: Node; l: Line); begin end;
procedure ra_do_report(n: Node; l: Line); begin undefine pend[n][l]; end;
procedure ra_do_retry(n: Node; l: Line); begin assert "nothing is refused" false; end;
procedure ra_do_report_unreach(n: Node; l: Line); begin undefine pend[n][l]; end;
procedure ra_do_proto(n: Node; l: Line); begin assert "no proto cell is reached" false; end;
procedure ra_do_odd(n: Node; l: Line); begin assert "no agent is snooped that does not hold the line" false; end;

--@ ra (n: Node; l: Line) st[n][l]

procedure ra_access(n: Node; l: Line; a: Access); begin
  doing := a;
  switch a
    case load: ra_load(n, l);
    case store: ra_store(n, l);
    case store_line: ra_store_line(n, l);
    case evict: ra_evict(n, l);
    case read_once: ra_read_once(n, l);
    case write_full: ra_write_full(n, l);
    case write_ptl: ra_write_ptl(n, l);
    case atomic_load: ra_atomic_load(n, l);
    case atomic_store: ra_atomic_store(n, l);
    case flush: ra_flush(n, l);
  endswitch;
  undefine doing;
end;
procedure ra_again(n: Node; l: Line); -- T13
var a: Access;
begin
  if stable(n, l) & !isundefined(pend[n][l]) then
    a := pend[n][l];
    undefine pend[n][l];
    ra_access(n, l, a);
  endif;
end;

-- Guards of the home ---------------------------------------------------------------------------------------------

function is_r(l: Line; n: Node): boolean; begin
  if isundefined(t[l].r) then return false; else return n = t[l].r; endif;
end;
function ha_dir(l: Line): Of_dir; begin
  for n: Node do if listed[n][l] = qdir_owner then return dir_X; endif; endfor;
  for n: Node do if listed[n][l] = qdir_sharer then return dir_S; endif; endfor;
  return dir_I;
end;
function ha_who(l: Line): Of_who; begin return listed[t[l].r][l] = qdir_none ? who_none : who_listed; end;
function ha_others(l: Line): Of_others; begin
  for n: Node do if listed[n][l] != qdir_none & !is_r(l, n) then return others_yes; endif; endfor;
  return others_no;
end;
function ha_op(l: Line): Op; begin return t[l].op; end;
function ha_snp(l: Line): Of_snp; begin
  switch t[l].snp
    case SnpInv: return snp_inv;
    case SnpShared: return snp_shared;
    case SnpCur: return snp_cur;
  endswitch;
end;
function ha_pend(l: Line): Of_pend; begin return t[l].pending[peer] ? pend_yes : pend_no; end;
function ha_last(l: Line): Of_last; begin
  for n: Node do if t[l].pending[n] & n != peer then return last_no; endif; endfor;
  return last_yes;
end;
function ha_qdir(l: Line): Of_qdir; begin return listed[peer][l]; end;
function ha_qisr(l: Line): Of_qisr; begin return is_r(l, peer) ? qisr_yes : qisr_no; end;
function ha_buf(l: Line): Of_buf; begin return t[l].buf; end;
function ha_due(l: Line): Of_due; begin return t[l].due ? due_yes : due_no; end;
function ha_hand(l: Line): Of_hand; begin return HAND = 1 | (HAND = 2 & t[l].r = 0) ? hand_yes : hand_no; end;
function ha_may(l: Line): Of_may; begin return may_yes; end;
function ha_poison(l: Line): Of_poison; begin return poison_no; end;
function ha_match(l: Line): Of_match; begin
  if isundefined(peer) then return match_yes; endif;
  return is_r(l, peer) ? match_yes : match_no;
end;

-- Actions of the home ----------------------------------------------------------------------------------------------

procedure ha_do_wait(l: Line); begin end;
procedure ha_do_snoop(l: Line; what: Snoop; whom: Snooped); begin
  t[l].snp := what;
  for n: Node do
    if listed[n][l] != qdir_none & !is_r(l, n) then t[l].pending[n] := true; t[l].snoop[n] := true; endif;
  endfor;
end;
procedure ha_do_unpend(l: Line); begin t[l].pending[peer] := false; end;
procedure ha_do_list(l: Line; whom: Whom); begin
  if whom = r then listed[t[l].r][l] := qdir_sharer; else listed[peer][l] := qdir_sharer; endif;
end;
procedure ha_do_own(l: Line); begin listed[t[l].r][l] := qdir_owner; end;
procedure ha_do_unlist(l: Line; whom: Whom); begin
  if whom = r then listed[t[l].r][l] := qdir_none; else listed[peer][l] := qdir_none; endif;
end;
procedure ha_do_take(l: Line); begin t[l].buf := buf_dirty; end;
procedure ha_do_take_cur(l: Line); begin t[l].buf := buf_cur; end;
procedure ha_do_take_poison(l: Line); begin assert "nobody is lost" false; end;
procedure ha_do_written(l: Line); begin t[l].buf := buf_none; end;
procedure ha_do_mem_read(l: Line); begin if MT = 0 then follow := MemData_OK; else t[l].mem := MemRd; endif; end;
procedure ha_do_mem_write(l: Line; from: Source); begin
  if MT = 0 then follow := MemDone_OK; else t[l].mem := MemWr; endif;
end;
procedure ha_do_mem_write_ptl(l: Line); begin
  if MT = 0 then follow := MemDone_OK; else t[l].mem := MemWrPtl; endif;
end;
procedure ha_do_alu(l: Line); begin end;
procedure ha_do_mark(l: Line); begin assert "no access to memory fails" false; end;
procedure complete(l: Line; s: State; data: boolean); begin
  t[l].due := false;
  t[l].st := s;
  t[l].data := data;
end;
procedure ha_do_cmp(l: Line; s: State); begin complete(l, s, false); end;
procedure ha_do_cmpdata(l: Line; s: State; from: Source); begin complete(l, s, true); end;
procedure ha_do_cmp_err(l: Line; code: Code); begin assert "nothing is refused" false; end;
procedure ha_do_lose_r(l: Line); begin end;
procedure ha_do_proto(l: Line); begin assert "no proto cell is reached" false; end;

--@ ha (l: Line) t[l].ctl

function sent(l: Line): boolean; begin -- D2: the output list is empty
  return isundefined(t[l].st) & isundefined(t[l].mem) & !(exists n: Node do t[l].snoop[n] endexists);
end;
procedure free(l: Line); begin -- the TSHR, when all has left
  if t[l].ctl = IDLE & sent(l) then
    undefine t[l];
    t[l].ctl := IDLE;
    t[l].buf := buf_none;
    t[l].due := false;
    for n: Node do t[l].pending[n] := false; t[l].snoop[n] := false; endfor;
  endif;
end;
procedure run(l: Line);
var event: Follow;
begin
  while !isundefined(follow) do
    event := follow;
    undefine follow;
    undefine peer;
    switch event
      case go: ha_go(l);
      case MemData_OK: ha_MemData_OK(l);
      case MemDone_OK: ha_MemDone_OK(l);
    endswitch;
  endwhile;
  undefine peer;
  free(l);
end;

-- Receiving -----------------------------------------------------------------------------------------------------------

procedure receive_request(l: Line; m: Message); begin
  t[l].op := m.op;
  t[l].due := true;
  switch m.op
    case ReadShared: ha_ReadShared(l);
    case ReadUnique: ha_ReadUnique(l);
    case MakeUnique: ha_MakeUnique(l);
    case Upgrade: ha_Upgrade(l);
    case ReadOnce: ha_ReadOnce(l);
    case Flush: ha_Flush(l);
    case Evict: ha_Evict(l);
    case WbFull: ha_WbFull(l);
    case WriteFull: ha_WriteFull(l);
    case WritePtl: ha_WritePtl(l);
    case AtomicLoad: ha_AtomicLoad(l);
    case AtomicStore: ha_AtomicStore(l);
  endswitch;
end;
procedure receive_answer(l: Line; dat: boolean; s: State); begin
  if !dat then
    switch s
      case I: ha_SnpRsp_I(l);
      case S: ha_SnpRsp_S(l);
      case E: ha_SnpRsp_E(l);
      case M: ha_SnpRsp_M(l);
    endswitch;
  else
    switch s
      case I: ha_SnpRspData_I(l);
      case S: ha_SnpRspData_S(l);
      case E: ha_SnpRspData_E(l);
      case M: ha_SnpRspData_M(l);
    endswitch;
  endif;
end;
procedure receive_completion(n: Node; l: Line; dat: boolean; s: State); begin
  if !dat then
    switch s
      case I: ra_Cmp_I(n, l);
      case S: ra_Cmp_S(n, l);
      case E: ra_Cmp_E(n, l);
      case M: ra_Cmp_M(n, l);
    endswitch;
  else
    switch s
      case I: ra_CmpData_I(n, l);
      case S: ra_CmpData_S(n, l);
      case E: ra_CmpData_E(n, l);
      case M: ra_CmpData_M(n, l);
    endswitch;
  endif;
  ra_again(n, l);
end;
procedure receive_snoop(n: Node; l: Line; what: Snoop); begin
  switch what
    case SnpShared: ra_SnpShared(n, l);
    case SnpInv: ra_SnpInv(n, l);
    case SnpCur: ra_SnpCur(n, l);
  endswitch;
  ra_again(n, l);
end;

-- D3: which credit the answer of a snoop needs.
function answer_vc(n: Node; l: Line): Vc; begin return st[n][l] = M | st[n][l] = MI_A ? vc_DAT : vc_RSP; end;

-- May the message be taken out of its buffer: only these obligations make anything wait.
function takes(a: Node; b: Node; m: Message): boolean; begin
  switch m.kind
    case k_request: return t[m.l].ctl = IDLE & sent(m.l); -- D2, D5
    case k_snoop: return room(b, a, answer_vc(b, m.l)); -- D3
    case k_mem: return room(b, a, m.mem = MemRd ? vc_DAT : vc_RSP); -- D8
    else return true; -- D4
  endswitch;
end;

procedure receive(a: Node; b: Node; m: Message);
var w: Vc;
begin
  switch m.kind
    case k_request: t[m.l].r := a; receive_request(m.l, m); run(m.l);
    case k_answer: peer := a; receive_answer(m.l, m.data, m.st); run(m.l);
    case k_ack: peer := a; ha_CmpAck(m.l); run(m.l);
    case k_mem_done: follow := m.data ? MemData_OK : MemDone_OK; run(m.l);
    case k_completion: receive_completion(b, m.l, m.data, m.st);
    case k_snoop: receive_snoop(b, m.l, m.snp);
    case k_mem:
      w := channel(m.mem = MemRd ? vc_DAT : vc_RSP);
      vc[b][a][w].kind := k_mem_done;
      vc[b][a][w].l := m.l;
      vc[b][a][w].data := m.mem = MemRd;
  endswitch;
end;

ruleset a: Node; b: Node; v: Vc do
rule "message is taken" !isundefined(vc[a][b][v].kind) & takes(a, b, vc[a][b][v]) ==>
var m: Message;
begin
  m := vc[a][b][v];
  undefine vc[a][b][v];
  receive(a, b, m);
end;
endruleset;

-- Sending -------------------------------------------------------------------------------------------------------------

function may(n: Node; l: Line; a: Access): boolean; begin
  if calm | !isundefined(pend[n][l]) | !isundefined(out[n][l]) | ack[n][l] then return false; endif; -- D4
  if OPS = 1 & (a = write_ptl | a = atomic_store) then return false; endif;
  if OPS = 2 & a != load & a != store & a != store_line & a != evict then return false; endif;
  return stable(n, l) & (st[n][l] = I ? a != evict : a != load & a != read_once);
end;

ruleset n: Node; l: Line do
ruleset a: Access do
rule "local access" may(n, l, a) ==> begin ra_access(n, l, a); end;
endruleset;
rule "request leaves" !isundefined(out[n][l]) & !ack[n][l] & room(n, home(l), way(out[n][l])) ==> begin
  vc[n][home(l)][channel(way(out[n][l]))].kind := k_request;
  vc[n][home(l)][channel(way(out[n][l]))].l := l;
  vc[n][home(l)][channel(way(out[n][l]))].op := out[n][l];
  undefine out[n][l];
end;
rule "CmpAck leaves" ack[n][l] & room(n, home(l), vc_RSP) ==> begin
  vc[n][home(l)][channel(vc_RSP)].kind := k_ack;
  vc[n][home(l)][channel(vc_RSP)].l := l;
  ack[n][l] := false;
end;
rule "snoop leaves" t[l].snoop[n] & room(home(l), n, vc_SNP) ==> begin
  vc[home(l)][n][channel(vc_SNP)].kind := k_snoop;
  vc[home(l)][n][channel(vc_SNP)].l := l;
  vc[home(l)][n][channel(vc_SNP)].snp := t[l].snp;
  t[l].snoop[n] := false;
end;
endruleset;

ruleset l: Line do
rule "completion leaves" !isundefined(t[l].st) & room(home(l), t[l].r, t[l].data ? vc_DAT : vc_RSP) ==>
var v: Vc;
begin
  v := t[l].data ? vc_DAT : vc_RSP;
  vc[home(l)][t[l].r][channel(v)].kind := k_completion;
  vc[home(l)][t[l].r][channel(v)].l := l;
  vc[home(l)][t[l].r][channel(v)].st := t[l].st;
  vc[home(l)][t[l].r][channel(v)].data := t[l].data;
  undefine t[l].st;
  undefine t[l].data;
  free(l);
end;
rule "memory request leaves" !isundefined(t[l].mem) & room(home(l), target(l), vc_MEM) ==> begin
  vc[home(l)][target(l)][channel(vc_MEM)].kind := k_mem;
  vc[home(l)][target(l)][channel(vc_MEM)].l := l;
  vc[home(l)][target(l)][channel(vc_MEM)].mem := t[l].mem;
  undefine t[l].mem;
end;
rule "Recall" !calm & t[l].ctl = IDLE & sent(l) & (exists n: Node do listed[n][l] != qdir_none endexists) ==> begin
  t[l].op := Recall;
  ha_Recall(l);
  run(l);
end;
endruleset;

rule "no more accesses" !calm ==> begin calm := true; end;

startstate begin
  for n: Node do for l: Line do
    st[n][l] := I;
    ack[n][l] := false;
    listed[n][l] := qdir_none;
  endfor; endfor;
  for l: Line do
    t[l].ctl := IDLE;
    t[l].buf := buf_none;
    t[l].due := false;
    for n: Node do t[l].pending[n] := false; t[l].snoop[n] := false; endfor;
  endfor;
  calm := false;
end;

-- What must hold --------------------------------------------------------------------------------------------------------

function empty(): boolean; begin
  for a: Node do for b: Node do for v: Vc do if !isundefined(vc[a][b][v].kind) then return false; endif; endfor; endfor; endfor;
  return true;
end;
function quiet(n: Node; l: Line): boolean; begin
  return stable(n, l) & isundefined(pend[n][l]) & isundefined(out[n][l]) & !ack[n][l];
end;

liveness "rest: no message is under way, no agent and no home waits"
  empty() & (forall l: Line do t[l].ctl = IDLE & sent(l) endforall) &
  (forall n: Node do forall l: Line do quiet(n, l) endforall endforall);
