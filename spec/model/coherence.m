-- One line, its home and AGENTS request agents, over a network that keeps no order (HSL 5.2 to 5.7, 6.1, 6.2).
-- The cells of both tables come from spec/coherence.toml; here is what their action words do.
-- A datum is told by its age: how many writes of the line there were since it was current. The oldest are not told apart.

const
  AGENTS: 2; -- request agents
  OLD: 1;    -- the oldest age that is told apart: 1 is "current or not", two values
  OPS: 0;    -- accesses: 0 all, 1 without write_ptl and atomic_store, 2 cached ones only
  MT: 0;     -- memory: 0 the home's own, 1 a memory target, 2 one that may be lost and come back
  ERR: 0;    -- 1: any request but Evict and WbFull may be refused, the memory target may fail any access
  POIS: 0;   -- 1: any datum may become poisoned
  LOSS: 0;   -- 1: any node may be declared lost, or lose the home, and may be re-admitted
  TREQ: 0;   -- 1: T_REQ of any request may expire
  HOSTILE: 0; -- 1: one agent sends what it likes
  HAND: 1;   -- dirty hand-over is agreed with: 0 no agent, 1 all, 2 all but one
  RIGHTS: 0; -- 0: all agents may read and write; 1: one may only read, 2: one may only write; a hostile one is that one
  VIRAL: 0;  -- 1: any agent may become viral, 2: the home or the memory target may
  BUSY: 0;   -- 1: an entry may be quiesced: any request but Evict and WbFull may be refused with BUSY
  LATER: 0;  -- 1: an access may come while an earlier one of its agent waits (with OPS 2)
  CALM: 1;   -- 1: rest is reached without a new access or fault; 0: half the states, with these

  POISONED: OLD + 1;

type
  Node: scalarset(AGENTS);
  Age: 0..POISONED;
  Access: enum { load, store, store_line, evict, read_once, write_full, write_ptl, atomic_load, atomic_store, flush };
  Snoop: enum { SnpShared, SnpInv, SnpCur };
  Mem: enum { MemRd, MemWr, MemWrPtl };
  Follow: enum { go, MemData_OK, MemData_ERR, MemDone_OK, MemDone_ERR };
  Whom: enum { q, r };
  Snooped: enum { owner, others };
  Source: enum { buf, req, new, mem, old };
  Code: enum { PROTO, DATA, MEM };
  Verdict: enum { v_OK, v_ERR, v_BUSY };
  Right: enum { all_rights, may_read, may_write };
--@ names

var
  st: array[Node] of State;
  line: array[Node] of Age;       -- the cached bytes
  pend: array[Node] of Access;    -- the access that waits
  behind: array[Node] of Access;  -- a later one that waits for it
  backoff: array[Node] of boolean; -- the access was refused with BUSY and waits for the end of its back-off
  back: array[Node] of Age;       -- writes since its ReadOnce or AtomicLoad was issued: the oldest age that it may return
  -- One message of a kind is under way between the home and an agent (T1, T5, T7).
  request: array[Node] of Op;
  request_data: array[Node] of Age;
  snoop: array[Node] of Snoop;
  answer: array[Node] of State;
  answer_data: array[Node] of Age; -- SnpRspData
  completion: array[Node] of State;
  completion_err: array[Node] of Verdict;
  completion_data: array[Node] of Age; -- CmpData
  cmpack: array[Node] of boolean;
  -- The home: its TSHR.
  t_ctl: Control;
  t_op: Op;
  t_r: Node;                       -- undefined: Recall
  t_snp: Snoop;
  t_buf: Age;                      -- undefined: BUF is empty
  t_cur: boolean;                  -- BUF was filled by take_cur
  t_req: Age;
  t_new: Age;
  t_mem: Age;
  t_old: Age;
  t_due: boolean;                  -- a completion is owed to r
  t_wrote: boolean;                -- dirty data of a snoop went to memory
  t_mark: boolean;                 -- a write failed
  pending: array[Node] of boolean; -- P
  listed: array[Node] of Of_qdir;  -- the directory
  fenced: array[Node] of boolean;
  gone: array[Node] of boolean;    -- the agent has lost its home (6.2 F6)
  -- Memory: the home's own or the target's; lost list and fence are of the target, at the home.
  memory: Age;
  mark: boolean;
  mem_fenced: boolean;
  ask: Mem;
  ask_data: Age;
  done: Follow;
  done_data: Age;
  hostile: array[Node] of boolean;
  hand: array[Node] of boolean;    -- dirty hand-over is agreed
  right: array[Node] of Right;
  viral: array[Node] of boolean;   -- its port is viral
  viral_home: boolean;
  viral_target: boolean;
  calm: boolean;                   -- no new access, no fault from now on
  -- Of the step that runs.
  me: Node;                        -- the agent
  peer: Node;                      -- q
  came_data: Age;
  sent_data: Age;
  doing: Access;
  follow: Follow;
  forged: boolean;                 -- the message that arrives is not from the home

--@ rights
-- Small words ---------------------------------------------------------------------------------------------------

function faulty(): boolean; begin return ERR + POIS + LOSS + HOSTILE + VIRAL > 0 | MT = 2; end;
-- What a reader may be given: the last written value, or poison where there are faults.
function good(a: Age): boolean; begin return a = 0 | (a = POISONED & faulty()); end;
function stable(n: Node): boolean; begin return st[n] = I | st[n] = S | st[n] = E | st[n] = M; end;
function readable(n: Node): boolean; begin
  return !fenced[n] & !hostile[n] & !viral[n] & (st[n] = S | st[n] = E | st[n] = M | st[n] = SM_A);
end;
function deaf(n: Node): boolean; begin return gone[n] | hostile[n]; end; -- hears nothing of the home
-- The last written value is left: in a copy that may be read, or on its way to or from one.
function kept(): boolean; begin
  for n: Node do
    if readable(n) then return true; endif;
    if !isundefined(completion_data[n]) & !fenced[n] & !gone[n] then
      if completion[n] != I then return true; endif;
    endif;
    if listed[n] = qdir_owner & !isundefined(request[n]) then
      if request[n] = WbFull then return true; endif;
    endif;
    if listed[n] = qdir_owner & !isundefined(answer_data[n]) then return true; endif;
  endfor;
  return false;
end;
function older(a: Age): Age; begin return a < OLD ? a + 1 : a; end; -- POISONED stays

-- A message is taken, or never came.
procedure no_request(n: Node); begin undefine request[n]; undefine request_data[n]; end;
procedure no_answer(n: Node); begin undefine answer[n]; undefine answer_data[n]; end;
procedure no_completion(n: Node); begin
  undefine completion[n]; undefine completion_err[n]; undefine completion_data[n];
end;

-- A write of the line takes its place in the order: every copy is older by one.
procedure write(); begin
  for n: Node do
    if !isundefined(line[n]) then line[n] := older(line[n]); endif;
    if !isundefined(back[n]) then back[n] := older(back[n]); endif;
    if !isundefined(request[n]) then
      if request[n] = WbFull then request_data[n] := older(request_data[n]); endif;
    endif;
    if !isundefined(answer_data[n]) then answer_data[n] := older(answer_data[n]); endif;
    if !isundefined(completion_data[n]) then completion_data[n] := older(completion_data[n]); endif;
  endfor;
  if !isundefined(t_buf) then t_buf := older(t_buf); endif;
  if !isundefined(t_mem) then t_mem := older(t_mem); endif;
  if !isundefined(t_old) then t_old := older(t_old); endif;
  if !isundefined(ask) then if ask = MemWr then ask_data := older(ask_data); endif; endif;
  if !isundefined(done_data) then done_data := older(done_data); endif;
  memory := older(memory);
end;

-- Actions of the request agent, by their names in the table --------------------------------------------------------

procedure ra_do_wait(); begin
  if isundefined(pend[me]) then pend[me] := doing; else behind[me] := doing; endif;
end;

procedure in_turn(); begin
  assert "an access does not overtake an earlier one of its agent that waits for the line" isundefined(pend[me]);
end;

procedure ra_do_hit(); begin
  in_turn();
  if viral[me] then
    line[me] := OLD;
  elsif doing = load | doing = read_once then
    assert "a load reads what was last written" fenced[me] | good(line[me]);
  elsif !fenced[me] & !((doing = atomic_load | doing = atomic_store) & line[me] = POISONED) then
    if line[me] != POISONED then
      assert "a partial store or an atomic works on what was last written" line[me] = 0;
      write();
      line[me] := 0;
    else
      write();
    endif;
  endif;
end;

procedure ra_do_hit_line(); begin
  if !isundefined(doing) then in_turn(); endif;
  if !fenced[me] & !viral[me] then write(); endif;
  line[me] := viral[me] ? OLD : 0;
end;

procedure ra_do_send(op: Op); begin
  assert "an agent has one request of a line" isundefined(request[me]) | fenced[me];
  if !fenced[me] then
    request[me] := op;
    switch op
      case WbFull: request_data[me] := line[me];
      case WriteFull, WritePtl, AtomicLoad, AtomicStore: request_data[me] := 0;
    endswitch;
  endif;
  if op = ReadOnce | op = AtomicLoad then back[me] := 0; endif;
  if BUSY = 1 then
    switch op
      case ReadOnce, Flush, WriteFull, WritePtl, AtomicLoad, AtomicStore: pend[me] := doing;
    endswitch;
  endif;
end;

procedure ra_answer(s: State); begin
  assert "a snoop is answered once" isundefined(answer[me]) | fenced[me];
  if !fenced[me] then answer[me] := s; endif;
end;
procedure ra_do_rsp(s: State); begin ra_answer(s); end;
procedure ra_do_rspdata(s: State); begin
  ra_answer(s);
  if !fenced[me] then answer_data[me] := line[me]; endif;
end;

procedure ra_do_fill(); begin line[me] := sent_data; end;
procedure ra_do_ack(); begin
  assert "a grant is acknowledged once" !cmpack[me] | fenced[me];
  if !fenced[me] then cmpack[me] := true; endif;
end;
procedure ra_do_drop(); begin undefine line[me]; end;
procedure ra_do_free(); begin end;
procedure ra_do_done(); begin undefine pend[me]; end;
procedure ra_do_done_data(); begin
  assert "a snapshot or old value was current while its request was open"
    sent_data <= back[me] | (sent_data = POISONED & faulty());
  undefine back[me];
  undefine pend[me];
end;
procedure ra_do_report(); begin undefine pend[me]; undefine back[me]; end;
procedure ra_do_retry(); begin backoff[me] := true; undefine back[me]; end;
procedure ra_do_report_unreach(); begin undefine pend[me]; end;
procedure ra_do_proto(); begin
  assert "an agent with a conforming home reaches no proto cell" forged;
end;
procedure ra_do_odd(); begin
  assert "no agent is snooped that does not hold the line" forged;
end;

--@ ra () st[me]

procedure ra_access(a: Access); begin
  doing := a;
  switch a
    case load: ra_load();
    case store: ra_store();
    case store_line: ra_store_line();
    case evict: ra_evict();
    case read_once: ra_read_once();
    case write_full: ra_write_full();
    case write_ptl: ra_write_ptl();
    case atomic_load: ra_atomic_load();
    case atomic_store: ra_atomic_store();
    case flush: ra_flush();
  endswitch;
  undefine doing;
end;

-- T13: accesses that wait are presented again in their order, before any other event of the line.
procedure ra_again();
var a: Access; b: Access;
begin
  if stable(me) & !backoff[me] then
    if !isundefined(behind[me]) then b := behind[me]; undefine behind[me]; endif;
    if !isundefined(pend[me]) then
      a := pend[me];
      undefine pend[me];
      ra_access(a);
    endif;
    if !isundefined(b) then ra_access(b); endif;
  endif;
end;

-- Guards of the home ---------------------------------------------------------------------------------------------

function is_r(n: Node): boolean; begin
  if isundefined(t_r) then return false; else return n = t_r; endif;
end;
function ha_dir(): Of_dir; begin
  for n: Node do if listed[n] = qdir_owner then return dir_X; endif; endfor;
  for n: Node do if listed[n] = qdir_sharer then return dir_S; endif; endfor;
  return dir_I;
end;
function ha_who(): Of_who; begin return listed[t_r] = qdir_none ? who_none : who_listed; end;
function ha_others(): Of_others; begin
  for n: Node do if listed[n] != qdir_none & !is_r(n) then return others_yes; endif; endfor;
  return others_no;
end;
function ha_op(): Op; begin return t_op; end;
function ha_snp(): Of_snp; begin
  switch t_snp
    case SnpInv: return snp_inv;
    case SnpShared: return snp_shared;
    case SnpCur: return snp_cur;
  endswitch;
end;
function ha_pend(): Of_pend; begin return pending[peer] ? pend_yes : pend_no; end;
function ha_last(): Of_last; begin
  for n: Node do if pending[n] & n != peer then return last_no; endif; endfor;
  return last_yes;
end;
function ha_qdir(): Of_qdir; begin return listed[peer]; end;
function ha_qisr(): Of_qisr; begin return is_r(peer) ? qisr_yes : qisr_no; end;
function ha_buf(): Of_buf; begin
  if isundefined(t_buf) then return buf_none; endif;
  return t_cur ? buf_cur : buf_dirty;
end;
function ha_due(): Of_due; begin return t_due ? due_yes : due_no; end;
function ha_hand(): Of_hand; begin return hand[t_r] ? hand_yes : hand_no; end;
function ha_may(): Of_may; begin return right[t_r] = may_read ? may_no : may_yes; end;
function ha_poison(): Of_poison; begin return t_mem = POISONED | t_req = POISONED ? poison_yes : poison_no; end;
function ha_match(): Of_match; begin -- a CmpAck from r; a completion of memory is always the one outstanding (M1)
  if isundefined(peer) then return match_yes; endif;
  return is_r(peer) ? match_yes : match_no;
end;

-- Actions of the home ----------------------------------------------------------------------------------------------

procedure ha_do_wait(); begin end;
procedure ha_do_snoop(what: Snoop; whom: Snooped); begin
  t_snp := what;
  for n: Node do
    if listed[n] != qdir_none & !is_r(n) then
      assert "an agent has one snoop of a line" isundefined(snoop[n]);
      pending[n] := true;
      if !deaf(n) then snoop[n] := what; endif;
    endif;
  endfor;
end;
procedure ha_do_unpend(); begin pending[peer] := false; end;
procedure ha_do_list(whom: Whom); begin
  if whom = r then listed[t_r] := qdir_sharer; else listed[peer] := qdir_sharer; endif;
end;
procedure ha_do_own(); begin listed[t_r] := qdir_owner; end;
procedure ha_do_unlist(whom: Whom); begin
  if whom = r then listed[t_r] := qdir_none; else listed[peer] := qdir_none; endif;
end;
procedure enters(n: Node); begin
  assert "data of an agent without W change no line" right[n] != may_read;
end;
procedure ha_do_take(); begin enters(peer); t_buf := came_data; t_cur := false; end;
procedure ha_do_take_cur(); begin t_buf := came_data; t_cur := true; end;
-- The owner is lost (6.2). Unless a copy is left, the last written value is gone: poison takes its place in the order.
procedure ha_do_take_poison(); begin
  if !kept() then write(); endif;
  t_buf := POISONED;
  t_cur := false;
end;
procedure ha_do_written(); begin undefine t_buf; end;

procedure one_access(); begin
  assert "a line has one memory access under way" isundefined(ask) & isundefined(done) & isundefined(follow);
end;

procedure ha_do_mem_read(); begin
  one_access();
  assert "a read is answered with the data of a snoop, not from memory"
    t_wrote -> t_op = AtomicLoad | t_op = AtomicStore;
  if mem_fenced then follow := MemData_ERR;
  elsif mark then t_mem := POISONED; follow := MemData_OK;
  elsif MT = 0 then t_mem := memory; follow := MemData_OK;
  else ask := MemRd;
  endif;
end;

function merged(a: Age; part: Age): Age; begin return a = POISONED ? a : part; end;

procedure ha_do_mem_write(from: Source);
var a: Age;
begin
  switch from
    case buf: a := t_buf;
    case req: a := t_req;
    case new: a := t_new;
  endswitch;
  one_access();
  if from = new | (from = req & t_op = WriteFull) then write(); endif;
  if from = req & t_op = WbFull then enters(t_r); endif;
  if from = buf then
    assert "a hand-over writes no memory" t_due & (t_op = ReadUnique | t_op = Upgrade) -> !hand[t_r];
    assert "data that the request replaces are not written" t_due -> t_op != MakeUnique & t_op != WriteFull;
    t_wrote := true;
  endif;
  mark := false;
  if mem_fenced then follow := MemDone_ERR;
  elsif MT = 0 then memory := a; follow := MemDone_OK;
  else ask := MemWr; ask_data := a;
  endif;
end;

procedure ha_do_mem_write_ptl(); begin
  one_access();
  assert "bytes are merged into what was last written" mark | mem_fenced | viral_home | viral_target | good(memory);
  write();
  if mem_fenced then follow := MemDone_ERR;
  elsif MT = 0 then memory := merged(memory, t_req); follow := MemDone_OK;
  else ask := MemWrPtl; ask_data := t_req;
  endif;
end;

procedure ha_do_alu(); begin
  assert "an atomic works on what was last written" t_mem = 0 | viral_home;
  t_old := t_mem;
  t_new := 0;
end;

-- M3. What was to be written may be in memory or not.
procedure ha_do_mark(); begin
  if !kept() then write(); endif;
  t_mark := true;
  if MT = 0 then memory := POISONED; else mark := true; endif;
end;

procedure complete(s: State; v: Verdict); begin
  assert "a completion is sent only when it is owed" t_due;
  t_due := false;
  if !deaf(t_r) then
    assert "a request is completed once" isundefined(completion[t_r]);
    completion[t_r] := s;
    completion_err[t_r] := v;
  endif;
end;
procedure ha_do_cmp(s: State); begin
  assert "a Flush is completed without error only when what it wrote is in memory"
    t_op = Flush -> !t_mark;
  complete(s, v_OK);
end;
procedure ha_do_cmpdata(s: State; from: Source);
begin
  assert "no data go to an agent without R" right[t_r] != may_write;
  assert "M is handed over only where that is agreed" s = M -> hand[t_r];
  complete(s, v_OK);
  if !deaf(t_r) then
    switch from
      case mem: completion_data[t_r] := t_mem;
      case buf: completion_data[t_r] := t_buf;
      case old: completion_data[t_r] := t_old;
    endswitch;
  endif;
end;
procedure ha_do_cmp_err(code: Code); begin complete(I, v_ERR); end;
procedure ha_do_lose_r(); begin t_due := false; end;
procedure ha_do_proto(); begin
  if isundefined(peer) then
    assert "a home with conforming agents reaches no proto cell" !isundefined(t_r) & hostile[t_r];
  else
    assert "a home with conforming agents reaches no proto cell" hostile[peer];
  endif;
end;

--@ ha () t_ctl

-- Events that follow at once, then the end of the transaction.
procedure run();
var event: Follow;
begin
  while !isundefined(follow) do
    event := follow;
    undefine follow;
    undefine peer; -- none of these events comes from a node
    switch event
      case go: ha_go();
      case MemData_OK: ha_MemData_OK();
      case MemData_ERR: ha_MemData_ERR();
      case MemDone_OK: ha_MemDone_OK();
      case MemDone_ERR: ha_MemDone_ERR();
    endswitch;
  endwhile;
  if t_ctl = IDLE then
    undefine t_op; undefine t_r; undefine t_snp; undefine t_buf;
    undefine t_req; undefine t_new; undefine t_mem; undefine t_old;
    t_cur := false;
    t_due := false;
    t_wrote := false;
    t_mark := false;
    for n: Node do pending[n] := false; endfor;
  endif;
  undefine peer;
  undefine came_data;
end;

-- A hostile owner that says that it wrote nothing makes what memory has the last written value: it owns the line, so
-- that is a write like any other, also of a line that was handed to it dirty.
procedure keeps_old(); begin
  write();
  if memory != POISONED then memory := 0; endif;
end;

procedure begin_request(n: Node); begin
  t_op := request[n];
  t_r := n;
  t_due := true;
  if viral[n] then -- T14: it goes as a WbFull of poison
    if t_op = WbFull then request_data[n] := POISONED; endif;
    if t_op = Evict & listed[n] = qdir_owner then t_op := WbFull; request_data[n] := POISONED; endif;
  endif;
  if !isundefined(request_data[n]) then t_req := request_data[n]; endif;
  if hostile[n] & listed[n] = qdir_owner then -- it may write what it owns
    if t_op = WbFull then write(); t_req := 0; elsif t_op = Evict then keeps_old(); endif;
  endif;
  no_request(n);
  switch t_op
    case ReadShared: ha_ReadShared();
    case ReadUnique: ha_ReadUnique();
    case MakeUnique: ha_MakeUnique();
    case Upgrade: ha_Upgrade();
    case ReadOnce: ha_ReadOnce();
    case Flush: ha_Flush();
    case Evict: ha_Evict();
    case WbFull: ha_WbFull();
    case WriteFull: ha_WriteFull();
    case WritePtl: ha_WritePtl();
    case AtomicLoad: ha_AtomicLoad();
    case AtomicStore: ha_AtomicStore();
  endswitch;
  run();
end;

procedure take_answer(n: Node);
var s: State;
begin
  peer := n;
  s := answer[n];
  if !isundefined(answer_data[n]) then came_data := answer_data[n]; endif;
  no_answer(n);
  if viral[n] & listed[n] = qdir_owner then -- T14: it goes as SnpRspData of poison
    if isundefined(came_data) & t_snp = SnpCur then s := M; endif;
    came_data := POISONED;
  endif;
  if hostile[n] & listed[n] = qdir_owner & pending[n] then
    if isundefined(came_data) then keeps_old();
    else
      if t_snp != SnpCur then write(); endif;
      came_data := 0;
    endif;
  endif;
  if isundefined(came_data) then
    switch s
      case I: ha_SnpRsp_I();
      case S: ha_SnpRsp_S();
      case E: ha_SnpRsp_E();
      case M: ha_SnpRsp_M();
    endswitch;
  else
    switch s
      case I: ha_SnpRspData_I();
      case S: ha_SnpRspData_S();
      case E: ha_SnpRspData_E();
      case M: ha_SnpRspData_M();
    endswitch;
  endif;
  run();
end;

function may_refuse(op: Op): boolean; begin return op != Evict & op != WbFull; end;
-- T15: the sender lacks a right, or its port is viral.
function denied(n: Node; op: Op): boolean; begin
  if !may_refuse(op) then return false; endif;
  return viral[n] | (right[n] = may_read & needs_W(op)) | (right[n] = may_write & needs_R(op));
end;
procedure refuse(n: Node; v: Verdict); begin
  no_request(n);
  assert "a request is completed once" isundefined(completion[n]) | deaf(n);
  if !deaf(n) then completion[n] := I; completion_err[n] := v; endif;
end;

-- F3: nothing is heard of a fenced node; F6: nor of a home that is lost. What is sent to or by them meanwhile is
-- not put on its way: on arrival it would have no effect.
procedure silence_node(n: Node); begin no_request(n); no_answer(n); cmpack[n] := false; end;
procedure silence_home(n: Node); begin undefine snoop[n]; no_completion(n); end;
procedure fence(n: Node); begin -- F1
  fenced[n] := true;
  silence_node(n);
  peer := n;
  if t_ctl = IDLE then t_op := Recall; endif; -- the loss at an idle line: nobody waits for it
  ha_lost();
  run();
end;
procedure readmit(n: Node); begin fenced[n] := false; gone[n] := false; end; -- F5: no old message is left
-- T_SNP, T_CACK of a hostile agent: that of others is a fault.
function late(n: Node): boolean; begin return hostile[n] & (pending[n] | ((t_ctl = ACK | t_ctl = WACK) & is_r(n))); end;

procedure take_cmpack(n: Node); begin
  cmpack[n] := false;
  peer := n;
  ha_CmpAck();
  run();
end;

procedure take_snoop(n: Node; what: Snoop); begin
  me := n;
  switch what
    case SnpShared: ra_SnpShared();
    case SnpInv: ra_SnpInv();
    case SnpCur: ra_SnpCur();
  endswitch;
  ra_again();
  undefine me;
end;

procedure take_completion(n: Node; s: State; v: Verdict; data: boolean; a: Age); begin
  me := n;
  if v = v_ERR then ra_Cmp_ERR();
  elsif v = v_BUSY then ra_Cmp_BUSY();
  elsif !data then
    switch s
      case I: ra_Cmp_I();
      case S: ra_Cmp_S();
      case E: ra_Cmp_E();
      case M: ra_Cmp_M();
    endswitch;
  else
    sent_data := viral_home ? POISONED : a;
    switch s
      case I: ra_CmpData_I();
      case S: ra_CmpData_S();
      case E: ra_CmpData_E();
      case M: ra_CmpData_M();
    endswitch;
    undefine sent_data;
  endif;
  ra_again();
  undefine me;
end;

-- T16: from whom they count.
function forgeable(n: Node): boolean; begin return HOSTILE = 1 & !hostile[n] & !gone[n]; end;
function snoop_counts(of_home: boolean): boolean; begin return of_home; end;
function completion_counts(of_home: boolean): boolean; begin return of_home; end;

-- The agent ---------------------------------------------------------------------------------------------------------

function may(n: Node; a: Access): boolean; begin
  if calm | gone[n] | hostile[n] | !isundefined(pend[n]) then return false; endif;
  if OPS = 1 & (a = write_ptl | a = atomic_store) then return false; endif;
  if OPS = 2 & a != load & a != store & a != store_line & a != evict then return false; endif;
  return stable(n) & (st[n] = I ? a != evict : a != read_once); -- read_once of a holder is load
end;

ruleset n: Node do

ruleset a: Access do
rule "local access" may(n, a) ==> begin me := n; ra_access(a); undefine me; end;
--@ where LATER
-- In a stable state the earlier access is in back-off, and the later one waits for it all the same.
rule "later access" !calm & LATER = 1 & !gone[n] & !isundefined(pend[n]) & isundefined(behind[n]) &
  (a = load | a = store | a = store_line) ==>
begin
  if backoff[n] then behind[n] := a; else me := n; ra_access(a); undefine me; endif;
end;
--@ end
endruleset;

rule "snoop arrives" !isundefined(snoop[n]) & !gone[n] ==>
var what: Snoop;
begin
  what := snoop[n];
  undefine snoop[n];
  take_snoop(n, what);
end;

rule "completion arrives" !isundefined(completion[n]) & !gone[n] ==>
var s: State; v: Verdict; data: boolean; a: Age;
begin
  s := completion[n];
  v := completion_err[n];
  data := !isundefined(completion_data[n]);
  if data then a := completion_data[n]; endif;
  no_completion(n);
  take_completion(n, s, v, data, a);
end;

--@ where BUSY
rule "back-off ends" backoff[n] ==> begin me := n; backoff[n] := false; ra_again(); undefine me; end;
rule "line in back-off is evicted" !calm & backoff[n] & !gone[n] & stable(n) & st[n] != I ==> begin
  me := n; ra_access(evict); undefine me;
end;
--@ end

--@ where TREQ
rule "T_REQ" !calm & TREQ = 1 & !isundefined(pend[n]) & !stable(n) ==> begin me := n; ra_t_req(); undefine me; end;
--@ end

-- The home ----------------------------------------------------------------------------------------------------------

-- T5: a request for a busy line waits; that it came early or late is the same to a network without order.
rule "request is served" !isundefined(request[n]) & t_ctl = IDLE & !fenced[n] & !denied(n, request[n]) ==> begin
  begin_request(n);
end;
rule "snoop answer arrives" !isundefined(answer[n]) & !fenced[n] ==> begin take_answer(n); end;
rule "CmpAck arrives" cmpack[n] & !fenced[n] ==> begin take_cmpack(n); end;

--@ where ERR VIRAL RIGHTS
-- T15: refused at arrival, also while the line is busy. T14: Evict and WbFull are not.
rule "request is refused" !isundefined(request[n]) & !fenced[n] & may_refuse(request[n]) &
  ((!calm & ERR = 1) | denied(n, request[n])) ==> begin refuse(n, v_ERR); end;
--@ end
--@ where BUSY
rule "request meets a quiesced entry" !calm & BUSY = 1 & !isundefined(request[n]) & !fenced[n] & may_refuse(request[n]) ==>
begin refuse(n, v_BUSY); end;
--@ end

--@ where LOSS HOSTILE
-- Loss of a node (6.2) ------------------------------------------------------------------------------------------------

rule "home declares a node lost" !fenced[n] & ((!calm & LOSS = 1) | gone[n] | late(n)) ==> begin fence(n); end;
rule "node loses the home" !gone[n] & !hostile[n] & ((!calm & LOSS = 1) | fenced[n]) ==> begin
  gone[n] := true;
  silence_home(n);
  me := n;
  ra_home_lost();
  undefine me;
  undefine back[n];
  undefine pend[n];
  undefine behind[n];
  backoff[n] := false;
end;
rule "node is re-admitted" fenced[n] & (gone[n] | hostile[n]) ==> begin readmit(n); end;
--@ end

--@ where VIRAL
-- Viral (6.1): what such a node has may be anything, whether it is dirty too ---------------------------------------------

rule "agent becomes viral" !calm & VIRAL = 1 & !viral[n] ==> begin viral[n] := true; end;
rule "copy of a viral agent goes bad" !calm & viral[n] & !isundefined(line[n]) ==> begin line[n] := OLD; end;
rule "viral agent forgets that it wrote" !calm & viral[n] & st[n] = M ==> begin st[n] := E; end;
--@ end

--@ where POIS
-- Poison (6.1) ----------------------------------------------------------------------------------------------------------

rule "cached line is poisoned" !calm & POIS = 1 & !isundefined(line[n]) & readable(n) ==> begin line[n] := POISONED; end;
rule "request is poisoned" !calm & POIS = 1 & !isundefined(request_data[n]) ==> begin request_data[n] := POISONED; end;
--@ end

--@ where HOSTILE
-- A hostile agent sends what it likes, which arrives at once: it might have sent it earlier. It hears nothing.
ruleset op: Op do
rule "hostile request" !calm & hostile[n] & !fenced[n] & t_ctl = IDLE & op != Recall & !denied(n, op) ==> begin
  request[n] := op;
  switch op
    case WbFull: request_data[n] := OLD;
    case WriteFull, WritePtl, AtomicLoad, AtomicStore: request_data[n] := 0;
  endswitch;
  begin_request(n);
end;
endruleset;
ruleset s: State; d: boolean do
rule "hostile answer" !calm & hostile[n] & !fenced[n] & (s = I | s = S | s = E | s = M) ==> begin
  answer[n] := s;
  if d then answer_data[n] := OLD; endif;
  take_answer(n);
end;
endruleset;
rule "hostile CmpAck" !calm & hostile[n] & !fenced[n] ==> begin take_cmpack(n); end;
-- T16. The answers and the CmpAck of what counts go to its sender.
ruleset what: Snoop do
rule "hostile snoop" !calm & forgeable(n) & isundefined(answer[n]) & snoop_counts(false) ==> begin
  forged := true;
  take_snoop(n, what);
  no_answer(n);
  forged := false;
end;
endruleset;
ruleset s: State; v: Verdict; d: boolean do
rule "hostile completion" !calm & forgeable(n) & !cmpack[n] & (s = I | s = S | s = E | s = M) & completion_counts(false) ==>
begin
  forged := true;
  take_completion(n, s, v, d, OLD);
  cmpack[n] := false;
  forged := false;
end;
endruleset;
--@ end

endruleset;

rule "Recall" !calm & OPS < 2 & t_ctl = IDLE & (exists n: Node do listed[n] != qdir_none endexists) ==> begin
  t_op := Recall;
  ha_Recall();
  run();
end;

--@ where MT
-- The memory target -----------------------------------------------------------------------------------------------------

procedure perform(); begin
  switch ask
    case MemRd: done_data := memory;
    case MemWr: memory := viral_home ? POISONED : ask_data;
    case MemWrPtl: memory := merged(memory, viral_home ? POISONED : ask_data);
  endswitch;
end;

rule "memory target does it" !isundefined(ask) ==> begin
  perform();
  done := ask = MemRd ? MemData_OK : MemDone_OK;
  undefine ask; undefine ask_data;
end;
ruleset did: boolean do
rule "memory target fails" !calm & ERR = 1 & !isundefined(ask) & (ask = MemRd -> !did) ==> begin
  if did then perform(); endif;
  done := ask = MemRd ? MemData_ERR : MemDone_ERR;
  undefine ask; undefine ask_data;
end;
endruleset;
rule "completion of memory arrives" !isundefined(done) ==> begin
  follow := done;
  if !isundefined(done_data) then t_mem := viral_target ? POISONED : done_data; endif;
  undefine done; undefine done_data;
  run();
end;
rule "memory target is lost" !calm & MT = 2 & !mem_fenced ==> begin -- M4
  mem_fenced := true;
  if t_ctl = RD then follow := MemData_ERR; endif;
  if t_ctl = WB | t_ctl = WR | t_ctl = WACK | t_ctl = WBP then follow := MemDone_ERR; endif;
  undefine ask; undefine ask_data;
  undefine done; undefine done_data;
  run();
end;
rule "memory target is back" mem_fenced ==> begin mem_fenced := false; end; -- M5, its memory kept
--@ end

--@ where VIRAL
rule "home becomes viral" !calm & VIRAL = 2 & MT < 2 ==> begin viral_home := true; end;
rule "buffers of a viral home go bad" !calm & viral_home ==> begin
  if MT = 0 then memory := OLD; endif;
  if !isundefined(t_buf) then t_buf := OLD; endif;
  if !isundefined(t_mem) then t_mem := OLD; endif;
  for n: Node do if !isundefined(completion_data[n]) then completion_data[n] := OLD; endif; endfor;
  if !isundefined(ask_data) then ask_data := OLD; endif;
end;
rule "memory target becomes viral" !calm & VIRAL = 2 & MT = 1 ==> begin viral_target := true; end;
rule "memory of a viral target goes bad" !calm & viral_target ==> begin memory := OLD; end;
--@ end

--@ where POIS
rule "memory is poisoned" !calm & POIS = 1 ==> begin memory := POISONED; end;
--@ end

rule "no more accesses and faults" !calm & CALM = 1 ==> begin calm := true; end;

ruleset h: Node do startstate begin
  for n: Node do
    st[n] := I;
    cmpack[n] := false;
    pending[n] := false;
    listed[n] := qdir_none;
    fenced[n] := false;
    gone[n] := false;
    hostile[n] := HOSTILE = 1 & n = h;
    hand[n] := HAND = 1 | (HAND = 2 & n != h);
    right[n] := all_rights;
    if n = h & RIGHTS = 1 then right[n] := may_read; elsif n = h & RIGHTS = 2 then right[n] := may_write; endif;
    viral[n] := false;
    backoff[n] := false;
  endfor;
  t_ctl := IDLE;
  t_cur := false;
  t_due := false;
  t_wrote := false;
  t_mark := false;
  viral_home := false;
  viral_target := false;
  forged := false;
  memory := 0;
  mark := false;
  mem_fenced := false;
  calm := false;
end; endruleset;

-- What must hold --------------------------------------------------------------------------------------------------------

invariant "one writer, or many readers"
  forall n: Node do readable(n) & (st[n] = E | st[n] = M) ->
    forall o: Node do o = n | !readable(o) endforall
  endforall;

invariant "a readable copy is what was last written"
  forall n: Node do readable(n) -> !isundefined(line[n]) & good(line[n]) endforall;

invariant "the directory lists every holder, and every writer as owner"
  forall n: Node do 
    readable(n) -> (st[n] = E | st[n] = M ? listed[n] = qdir_owner : listed[n] != qdir_none)
  endforall;

invariant "memory is what was last written, when no transaction runs and nobody owns the line"
  t_ctl = IDLE & ha_dir() != dir_X -> mark | viral_target | (viral_home & MT = 0) | good(memory);

invariant "nobody owns a line without W"
  forall n: Node do listed[n] = qdir_owner -> right[n] != may_read endforall;

function quiet(n: Node): boolean; begin -- nothing of this agent is under way
  if !isundefined(request[n]) | !isundefined(snoop[n]) | cmpack[n] then return false; endif;
  return isundefined(answer[n]) & isundefined(completion[n]);
end;
function settled(n: Node): boolean; begin
  if fenced[n] | gone[n] | hostile[n] then return false; endif;
  return stable(n) & quiet(n) & !backoff[n];
end;
function exact(n: Node): boolean; begin
  switch st[n]
    case I: return listed[n] = qdir_none;
    case S: return listed[n] = qdir_sharer;
    else return listed[n] = qdir_owner;
  endswitch;
end;
function resting(n: Node): boolean; begin return hostile[n] | (settled(n) & isundefined(pend[n]) & isundefined(behind[n])); end;

invariant "at rest the directory is exact"
  t_ctl = IDLE -> forall n: Node do settled(n) -> exact(n) endforall;

liveness "rest: all accesses are done, no message is under way, no transaction runs, every node is admitted"
  t_ctl = IDLE & forall n: Node do resting(n) endforall;
